"""The style sheet of a report: one calm page, light or dark as the screen is, fit to print."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf7; --sheet: #ffffff; --ink: #22252a; --soft: #6b6d70; --rule: #e3dfd7;
  --heat: 31 111 139; --miss: 201 106 32;
  --tuned: #1f6f8b; --base: #a39b8f; --c2: #7a5c99; --c3: #9a7b1f; --c4: #b0556e;
  --floor: #c9c3b8; --good: #2c7a4b; --bad: #b23a2b; --true: #2fbf71; --answered: #ff8c1a;
  --asked: #3d7bff;
  --serif: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", "P052", Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181b; --sheet: #1c1f23; --ink: #e4e1da; --soft: #989a9c; --rule: #30343a;
    --heat: 44 120 148; --miss: 190 100 40;
    --tuned: #56afcd; --base: #8b857c; --c2: #b294d1; --c3: #d0b050; --c4: #dd8ba2;
    --floor: #55524d; --good: #69bd8b; --bad: #e5796b;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; padding: 0 28px 96px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 var(--sans); font-variant-numeric: tabular-nums lining-nums;
}
header, main, footer { max-width: 1040px; margin: 0 auto; }
header { padding: 64px 0 20px; }
.kicker {
  margin: 0 0 10px; color: var(--soft); font-size: 12px; letter-spacing: .14em;
  text-transform: uppercase;
}
h1, h2, h3 { font-family: var(--serif); font-weight: 500; line-height: 1.15; text-wrap: balance; }
h1 { margin: 0 0 18px; font-size: 44px; letter-spacing: -.012em; }
h2 { margin: 72px 0 8px; padding-top: 18px; border-top: 1px solid var(--rule); font-size: 28px; }
h3 { margin: 40px 0 6px; font-size: 20px; }
h2 + h3 { margin-top: 24px; }
p { max-width: 68ch; margin: 0 0 12px; }
.lead { font: 20px/1.5 var(--serif); max-width: 60ch; }
.lead b { font-weight: 600; white-space: nowrap; }
.note, small, .id { color: var(--soft); }
.note { font-size: 14px; max-width: 84ch; }
small { font-size: 12px; } .note code { font-size: .95em; }
a { color: inherit; text-decoration-color: var(--rule); text-underline-offset: 3px; }
a:hover { text-decoration-color: currentColor; }
code, pre { font-family: var(--mono); font-size: 13px; }
.facts { margin: 0; display: flex; flex-wrap: wrap; gap: 4px 28px; color: var(--soft);
  font-size: 14px; }
.facts div { display: flex; gap: 8px; min-width: 0; }
.facts dd { margin: 0; color: var(--ink); overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 20px; margin-top: 22px; padding: 10px 0;
  border-top: 1px solid var(--rule); border-bottom: 1px solid var(--rule); font-size: 14px; }
nav a { text-decoration: none; color: var(--soft); }
nav a:hover { color: var(--ink); }

.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); gap: 1px;
  margin: 34px 0 0; }
.tile { outline: 1px solid var(--rule); padding: 18px 20px 16px; background: var(--sheet); }
.tile h3 { margin: 0 0 8px; color: var(--soft); font: 13px/1.3 var(--sans); }
.tile .number { font: 40px/1 var(--serif); letter-spacing: -.01em; }
.tile .number span { font-size: 20px; color: var(--soft); margin-left: 3px; }
.tile p { margin: 8px 0 0; font-size: 13px; color: var(--soft); }

.tiles + .note { margin-top: 16px; }
.warning { padding: 12px 16px; border: 2px solid var(--bad); max-width: none; }
figure { margin: 0; min-width: 0; }
ul.note { margin: 4px 0 12px; padding-left: 20px; }

.wide { overflow-x: auto; margin: 14px 0 6px; }
table { border-collapse: collapse; }
.scores { width: 100%; font-size: 15px; }
.scores th, .scores td { padding: 9px 14px 8px 0; text-align: right; vertical-align: baseline;
  border-bottom: 1px solid var(--rule); white-space: nowrap; }
.scores th:first-child, .scores td:first-child { text-align: left; min-width: 130px; }
.scores th:last-child, .scores td:last-child { padding-right: 0; }
.scores thead th { color: var(--soft); font-size: 13px; font-weight: 400; white-space: normal;
  vertical-align: bottom; }
.scores.small { width: auto; font-size: 14px; margin-top: 4px; }
.scores.small th, .scores.small td { padding: 5px 22px 4px 0; }
.scores.small td { min-width: 64px; }
.published td:last-child { text-align: left; white-space: normal; min-width: 150px;
  padding-left: 14px; }
.published th:last-child { text-align: left; padding-left: 14px; }
abbr { text-decoration-color: var(--soft); text-underline-offset: 3px; }
.scores tbody th { font-weight: 400; }
.scores small { display: block; line-height: 1.3; }
.scores .floor th, .scores .floor td { color: var(--soft); }
.scores .last th, .scores .last td { font-weight: 600; }
.scores .last small { font-weight: 400; }
.scores .gap th, .scores .gap td { border-bottom: 0; font-style: italic; }
.scores .gap small { font-style: normal; }
.up { color: var(--good); } .down { color: var(--bad); }
i.key { display: inline-block; width: 10px; height: 10px; margin-right: 8px; border-radius: 50%; }
.key.floor { background: var(--floor); } .key.base { background: var(--base); }
.key.tuned { background: var(--tuned); } .key.c2 { background: var(--c2); }
.key.c3 { background: var(--c3); } .key.c4 { background: var(--c4); }

.chart { display: block; width: 100%; height: auto; margin: 10px 0; font-family: var(--sans); }
.chart text { fill: var(--soft); font-size: 12.5px; }
.chart text.name { fill: var(--ink); }
.chart text.name.floor { fill: var(--soft); }
.chart text.value { fill: var(--ink); }
.chart .grid { stroke: var(--rule); stroke-width: 1; }
.chart .boundary { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 2 4; }
.chart polyline { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.chart .curve { stroke-width: 2.2; } .chart .raw { stroke-width: 1; opacity: .32; }
.chart .whisker { stroke-width: 3; opacity: .45; stroke-linecap: round; }
.chart .floor { stroke: var(--floor); fill: var(--floor); }
.chart .base { stroke: var(--base); fill: var(--base); }
.chart .tuned { stroke: var(--tuned); fill: var(--tuned); }
.chart .c2 { stroke: var(--c2); fill: var(--c2); }
.chart .c3 { stroke: var(--c3); fill: var(--c3); }
.chart .c4 { stroke: var(--c4); fill: var(--c4); }
.chart text.name, .chart .bar { stroke: none; }
.chart text.name.base, .chart text.name.tuned, .chart text.name.c2, .chart text.name.c3,
.chart text.name.c4 { fill: var(--ink); }
.chart polyline.curve, .chart polyline.raw { fill: none; }
.wide .chart { min-width: 620px; }
.halves { display: grid; gap: 0 40px; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr)); }
.halves .chart:only-child { max-width: 560px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 22px; font-size: 13px; color: var(--soft); }
.legend span { display: inline-flex; align-items: center; }
.legend svg { width: 26px; height: 12px; margin-right: 8px; overflow: visible; }

.heat { font-size: min(11px, calc(var(--cell) * .56)); line-height: 1; }
.heat th { padding: 0 8px 0 0; font-weight: 400; text-align: right; white-space: nowrap;
  color: var(--soft); }
.heat thead th { padding: 0 0 8px; vertical-align: bottom; }
.heat thead span { writing-mode: vertical-rl; transform: rotate(180deg); display: inline-block; }
.heat td { width: var(--cell); min-width: var(--cell); height: var(--cell); padding: 0;
  text-align: center; border: 1px solid var(--rule); background: rgb(var(--shade) / var(--depth)); }
.heat .hit { --shade: var(--heat); } .heat .off { --shade: var(--miss); }
.heat .none { background: transparent; }
.heat td.invalid { border-left: 3px double var(--soft); }

.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(235px, 1fr));
  gap: 28px 22px; margin: 18px 0 0; }
.example { margin: 0; break-inside: avoid; min-width: 0; }
.picture { position: relative; overflow: hidden; background: var(--rule); border-radius: 3px; }
.picture img, .picture svg { position: absolute; inset: 0; width: 100%; height: 100%; }
.picture img { display: block; object-fit: fill; }
.picture .missing { display: grid; place-items: center; height: 100%; padding: 12px;
  color: var(--soft); font-size: 12px; text-align: center; overflow-wrap: anywhere; }
polygon { fill: none; stroke-width: 2.4; vector-effect: non-scaling-stroke; }
polygon.true { stroke: var(--true); }
polygon.answered { stroke: var(--answered); stroke-dasharray: 7 4; }
polygon.asked { stroke: var(--asked); stroke-width: 3; }
polygon.earlier { stroke: #fff; stroke-width: 1.6; stroke-dasharray: 1.5 4; }
.legend polygon.earlier { stroke: var(--soft); }
.example .question { margin: 10px 0 6px; font: 15px/1.4 var(--serif); overflow-wrap: anywhere; }
.example dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 10px; margin: 0;
  font-size: 13px; line-height: 1.45; }
.example dt { color: var(--soft); max-width: 84px; overflow-wrap: anywhere; }
.example dd { margin: 0; overflow-wrap: anywhere; }
.example dd.good::before { content: "✓ "; color: var(--good); }
.example dd.bad::before { content: "✗ "; color: var(--bad); }
.example .id { margin: 6px 0 0; font-size: 11px; overflow-wrap: anywhere; }

details { margin: 14px 0; border: 1px solid var(--rule); border-radius: 4px;
  background: var(--sheet); }
summary { padding: 10px 16px; cursor: pointer; }
details > :not(summary) { margin: 0; padding: 4px 16px 14px; }
details pre { overflow-x: auto; line-height: 1.5; }
.pairs { width: 100%; font-size: 14px; }
.pairs th, .pairs td { padding: 6px 20px 6px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--rule); overflow-wrap: anywhere; }
.pairs th { width: 200px; color: var(--soft); font-weight: 400; }
.pairs .pairs tr:last-child > * { border-bottom: 0; }
footer { margin-top: 80px; padding-top: 14px; border-top: 1px solid var(--rule);
  color: var(--soft); font-size: 13px; }
@media (max-width: 620px) {
  .scores th:first-child { position: sticky; left: 0; background: var(--paper); min-width: 110px; }
  body { padding: 0 16px 64px; } h1 { font-size: 34px; } header { padding-top: 36px; }
}
@page { margin: 14mm; }
@media print {
  :root { --paper: #fff; --sheet: #fff; --ink: #111; --soft: #555; --rule: #ccc;
    --heat: 31 111 139; --miss: 201 106 32; --tuned: #1f6f8b; --base: #a39b8f; --floor: #c9c3b8;
    --good: #2c7a4b; --bad: #b23a2b; }
  body { padding: 0; font-size: 11pt; } nav { display: none; } header { padding-top: 0; }
  h2, h3 { break-after: avoid; } .chart, tr, .tile, .heat { break-inside: avoid; }
  .wide .chart { min-width: 0; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .halves { grid-template-columns: 1fr 1fr; gap: 0 16px; } h2 { margin-top: 36px; }
  .wide { overflow: visible; } .scores { font-size: 9pt; } .scores thead th { font-size: 8pt; }
  .scores th, .scores td { padding-right: 7px; } .scores small, .note { font-size: 8pt; }
  details { border: 0; } details::details-content { content-visibility: visible; height: auto; }
  details pre { white-space: pre-wrap; }
}
"""
