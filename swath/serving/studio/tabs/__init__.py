"""The tabs of the studio, and the panels in them."""
