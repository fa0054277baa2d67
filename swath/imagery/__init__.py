"""From rasters and drawings to pixels: scenes, tiles, drawn scenes."""

import os

# A TIFF, or a file beside it, may say that its overviews or mask lie at an address. GDAL registers
# its formats once a process, and leaves out those named here, which ask servers.
os.environ.setdefault(
    "GDAL_SKIP",
    "HTTP,WMS,WCS,WMTS,WFS,OAPIF,OGCAPI,CSW,NGW,DAAS,EEDAI,PLMOSAIC,PLScenes,STACIT,STACTA,GTI",
)
