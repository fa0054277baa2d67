"""How a layer of boxes looks in QGIS: the style that lies inside its GeoPackage."""

from __future__ import annotations

from typing import Any

OUTLINE = (255, 64, 129)
"""Colour of boxes, on maps and pictures too: neither vegetation, water nor soil has it."""

_QML = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis styleCategories="Symbology">
 <renderer-v2 type="singleSymbol" forceraster="0" symbollevels="0">
  <symbols>
   <symbol type="fill" name="0" alpha="1">
    <layer class="SimpleFill" enabled="1" pass="0">
     <prop k="color" v="{red},{green},{blue},40"/>
     <prop k="outline_color" v="{red},{green},{blue},255"/>
     <prop k="outline_width" v="0.5"/>
     <prop k="style" v="solid"/>
    </layer>
   </symbol>
  </symbols>
 </renderer-v2>
</qgis>
"""


def layer_style(table: str) -> dict[str, Any]:
    """The row of QGIS' table `layer_styles` that makes this the default style of a table."""
    red, green, blue = OUTLINE
    return {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": table,
        "f_geometry_column": "geom",
        "styleName": "swath",
        "styleQML": _QML.format(red=red, green=green, blue=blue),
        "styleSLD": "",
        "useAsDefault": 1,
        "description": "boxes found by swath",
        "owner": "",
        "ui": "",
        "update_time": "2026-01-01T00:00:00.000Z",
    }
