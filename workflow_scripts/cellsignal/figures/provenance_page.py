"""Style and behaviour of the provenance page. Without the script, boxes still open and close."""

from cellsignal.figures import style

MARGIN, DETAIL = 28, 330  # pixels at the sides of the drawing; least width of what stands beside it


def page_style(width: int) -> str:
    """The style sheet. `width` is the drawing's; where the window has no room for it, boxes are a list."""
    panel = width + 2 * MARGIN
    return f"""
:root {{ --panel: {panel}px; }}
.hash {{ display: block; padding: 8px 10px; border: 2px solid var(--accent); border-radius: 6px; margin: 0 0 10px;
  font-size: 13px; user-select: all; }}
ol.graph {{ list-style: none; margin: 16px 0 0; padding: 0; }}
ol.graph > li {{ margin: 0 0 12px; }} ol.graph > li.lines {{ margin: 0; }}
svg.edges {{ display: none; }}
li > details > summary {{ display: block; cursor: pointer; background: #fff; border: 1px solid var(--line);
  border-left: 5px solid var(--accent); border-radius: 6px; padding: 8px 12px; }}
li > details > summary::-webkit-details-marker {{ display: none; }}
li > details > summary:hover {{ background: #f3f8fc; }}
li.result > details > summary {{ border-width: 2px 2px 2px 5px; border-color: var(--accent); background: #eaf4fb; }}
li.source > details > summary {{ border-left-color: {style.GREY}; }}
li > details[open] > summary {{ background: #eaf4fb; border-color: var(--accent); }}
summary .head {{ display: flex; flex-wrap: wrap; justify-content: space-between; align-items: baseline; }}
summary .title {{ font-weight: bold; margin-right: 8px; }}
summary .count {{ color: var(--muted); }}
summary .what, summary .facts, summary .from {{ display: block; font-size: 12.5px; line-height: 1.4; margin-top: 3px; }}
summary .facts, summary .from, summary .facts .mono {{ color: var(--muted); font-size: 11.5px; }}
.part {{ margin-top: 18px; }} .part > summary {{ cursor: pointer; font-size: 14px; font-weight: bold; }}
.detail {{ padding: 10px 4px 4px; }}
td .muted {{ font-size: 11.5px; }} td:first-child .muted {{ font-size: 12px; }}
td:first-child {{ min-width: 6.5em; }}
table.settings td:first-child {{ width: 62%; overflow-wrap: normal; }}
ul {{ margin: 0; padding-left: 20px; font-size: 13px; }}
.hint {{ display: none; }}
@media (min-width: {panel + DETAIL}px) {{
  body {{ width: var(--panel); padding: 24px {MARGIN}px; }}
  ol.graph {{ position: relative; height: var(--h); }}
  ol.graph > li {{ position: absolute; margin: 0; left: var(--x); top: var(--y); width: var(--w); height: var(--h); }}
  summary .from {{ display: none; }}
  li > details > summary {{ position: absolute; inset: 0; overflow: hidden; }}
  svg.edges {{ display: block; position: absolute; left: 0; top: 0; overflow: visible; }}
  .detail, .hint {{ display: block; position: fixed; left: var(--panel); right: 0; top: 0; bottom: 0; overflow: auto;
    padding: 24px {MARGIN}px; background: #fafafa; border-left: 1px solid var(--line); }}
  .detail {{ z-index: 2; }}
}}
svg.edges path {{ fill: none; stroke: #8a8a8a; stroke-width: 1.6; }}
svg.edges path.loop {{ stroke: var(--loop); stroke-dasharray: 6 4; }}
svg.edges path.skip {{ stroke-width: 1; visibility: hidden; }}
svg.edges text {{ font-size: 12px; fill: var(--loop); }}
svg.edges path.on {{ visibility: visible; stroke: var(--accent); stroke-width: 2.4; marker-end: url(#near); }}
svg.edges path.loop.on {{ stroke: var(--loop); marker-end: url(#back); }}
li.on > details > summary {{ border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }}
@media print {{ .hint {{ display: none; }} .detail {{ position: static; }} }}
"""


SCRIPT = """
(function () {
  var boxes = Array.from(document.querySelectorAll("ol.graph > li[data-rule]"));
  var edges = Array.from(document.querySelectorAll("svg.edges path[data-from]"));
  function mark() {
    var open = boxes.find(function (box) { return box.firstElementChild.open; });
    var rule = open ? open.dataset.rule : null, near = {};
    edges.forEach(function (edge) {
      var on = rule !== null && (edge.dataset.from === rule || edge.dataset.to === rule);
      edge.classList.toggle("on", on);
      if (on) { near[edge.dataset.from] = near[edge.dataset.to] = true; }
    });
    boxes.forEach(function (box) { box.classList.toggle("on", box !== open && near[box.dataset.rule] === true); });
  }
  boxes.forEach(function (box) {
    var details = box.firstElementChild;
    details.addEventListener("toggle", function () {
      if (details.open) {
        boxes.forEach(function (other) { if (other !== box) { other.firstElementChild.open = false; } });
      }
      mark();
    });
  });
  document.addEventListener("click", function (event) {
    var link = event.target.closest("a[data-rule]");
    if (!link) { return; }
    event.preventDefault();
    var box = boxes.find(function (box) { return box.dataset.rule === link.dataset.rule; });
    box.firstElementChild.open = true;
    box.querySelector("summary").focus({preventScroll: true});
    box.querySelector("summary").scrollIntoView({block: "nearest"});
  });
  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") { return; }
    boxes.forEach(function (box) {
      if (box.firstElementChild.open) { box.firstElementChild.open = false; box.querySelector("summary").focus(); }
    });
  });
  var asked = boxes.find(function (box) { return box.id !== "" && "#" + box.id === location.hash; });
  if (asked) { asked.firstElementChild.open = true; }
  mark();
})();
"""
