"""Style and behaviour of the overview page."""

from cellsignal.figures import style

STYLE = f"""
body {{ padding: 0; }}
main {{ padding: 20px; min-width: 0; max-width: 1100px; }}
h2 {{ font-size: 19px; margin: 34px 0 10px; padding-top: 6px; border-top: 2px solid var(--accent); }}
h3 {{ font-size: 16px; margin: 22px 0 8px; }} h4 {{ font-size: 14px; margin: 16px 0 6px; }}
.skip {{ position: absolute; left: -9999px; }}
.skip:focus {{ left: 8px; top: 8px; padding: 8px 12px; background: #fff; z-index: 3; }}
nav {{ padding: 14px 20px 0; font-size: 13px; }}
nav ul {{ list-style: none; margin: 0; padding: 0; }} nav li {{ margin: 0 0 4px; }}
nav span {{ font-weight: bold; }} nav ul ul {{ display: flex; flex-wrap: wrap; gap: 0 12px; }}
nav a {{ display: inline-block; padding: 2px 0; }}
.numbers {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 12px; margin: 0; }}
.numbers > div {{ border: 1px solid var(--line); border-left: 5px solid var(--accent); border-radius: 6px;
  padding: 8px 12px; }}
.numbers dt {{ font-size: 13px; }} .numbers dd {{ margin: 0; }}
.numbers b {{ display: block; font-size: 24px; line-height: 1.3; }}
figure {{ margin: 0 0 26px; }} figcaption {{ font-size: 13.5px; max-width: 80ch; }}
.picture {{ overflow-x: auto; border: 1px solid #e4e4e4; border-radius: 6px; padding: 8px; }}
@media (max-width: 960px) {{ .picture::before {{ content: "scroll sideways →"; position: sticky; left: 0;
  font-size: 12px; color: var(--muted); }} }}
.picture img {{ display: block; max-width: max(100%, 900px); height: auto; }}
summary {{ cursor: pointer; color: var(--accent); padding: 4px 0; }}
.tables {{ margin: 4px 0 0; }} .download span {{ color: var(--muted); }}
label {{ font-size: 13px; font-weight: bold; }}
input[type=search], select {{ font: inherit; padding: 6px 8px; border: 1px solid #767676; border-radius: 4px;
  background: #fff; color: inherit; max-width: 100%; }}
input[type=search] {{ display: block; width: min(26em, 100%); }}
#pickers {{ display: flex; flex-wrap: wrap; gap: 12px; margin: 18px 0 6px; }}
#pickers label, .controls label[for=channel] {{ display: block; }}
#pickers > div {{ min-width: 0; }}
#matches, #gallery, #near {{ list-style: none; padding: 0; margin: 6px 0; display: flex; flex-wrap: wrap; gap: 8px; }}
button {{ font: inherit; font-size: 13px; color: inherit; background: #fff; border: 1px solid #767676;
  border-radius: 4px; padding: 4px 8px; cursor: pointer; }}
button:hover {{ background: #eaf4fb; }}
#gallery button, #near > li > * {{ display: block; width: 104px; padding: 3px; text-align: left; line-height: 1.3;
  font-size: 11.5px; overflow-wrap: anywhere; }}
#gallery img, #near img {{ display: block; width: 96px; height: 96px; object-fit: contain; background: #000; }}
#gallery {{ max-height: 330px; overflow-y: auto; padding: 4px; }}
#gallery button[aria-pressed=true] {{ outline: 3px solid var(--accent); }}
#near .same {{ font-weight: bold; }} #near .same img {{ outline: 3px solid var(--accent); outline-offset: -3px; }}
.site {{ display: grid; grid-template-columns: minmax(0, 1fr); gap: 16px; }}
.stage {{ position: relative; width: min(384px, 100%); aspect-ratio: 1; background: #000; }}
.stage img {{ position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; }}
.controls {{ display: flex; flex-wrap: wrap; gap: 12px; align-items: end; margin-top: 8px; }}
#facts {{ margin: 0 0 10px; font-size: 14px; }} #facts dt {{ font-weight: bold; }} #facts dd {{ margin: 0 0 4px; }}
thead th {{ overflow-wrap: normal; }}
caption {{ text-align: left; font-size: 13px; color: var(--muted); padding-bottom: 4px; }}
td.number {{ font-variant-numeric: tabular-nums; }} tr.most td {{ font-weight: bold; }}
#well:not(:empty) {{ border-left: 5px solid {style.ORANGE}; padding: 6px 12px; margin: 8px 0; background: #fff8ea; }}
@media (min-width: 700px) {{ .site {{ grid-template-columns: 390px minmax(0, 1fr); }} }}
@media (min-width: 1100px) {{
  body {{ display: grid; grid-template-columns: 230px minmax(0, 1fr); }}
  nav {{ position: sticky; top: 0; max-height: 100vh; overflow-y: auto; padding-top: 24px; }}
  nav ul ul {{ display: block; padding-left: 10px; }}
}}
@media print {{ nav, #look {{ display: none; }} }}
"""

SCRIPT = """
(function () {
  var data = JSON.parse(document.getElementById("data").textContent);
  var explained = data.explained, wells = data.searchable, sites = explained.sites;
  var EVERY = "", SHOWN = 20;

  function by(id) { return document.getElementById(id); }
  function make(tag, text, parent) {
    var element = document.createElement(tag);
    if (text) { element.textContent = text; }
    if (parent) { parent.appendChild(element); }
    return element;
  }
  function picture(source, alt, parent) {
    var image = make("img", "", parent);
    image.src = source;
    image.alt = alt;
    return image;
  }
  function distinct(list) {
    return Array.from(new Set(list)).sort(function (a, b) { return a.localeCompare(b, "en", {numeric: true}); });
  }

  // ---- pickers and gallery
  var KEYS = ["cell", "class", "experiment", "outcome"], chosen = null;
  function matching(skip) {
    return sites.filter(function (site) {
      return KEYS.every(function (key) {
        return key === skip || by(key).value === EVERY || site[key] === by(key).value;
      });
    });
  }
  function fill() {
    KEYS.forEach(function (key) {
      var select = by(key), before = select.value;
      select.replaceChildren(new Option("all", EVERY));
      distinct(matching(key).map(function (site) { return site[key]; })).forEach(function (value) {
        select.add(new Option(value, value));
      });
      select.value = before;
      if (select.selectedIndex < 0) { select.value = EVERY; }
    });
  }
  function gallery() {
    var found = matching(null), list = by("gallery");
    by("count").textContent = found.length + " of " + sites.length + " sites";
    list.replaceChildren();
    found.forEach(function (site) {
      var button = make("button", "", make("li", "", list));
      button.type = "button";
      button.dataset.site = site.id;
      picture(explained.images[site.id], "", button);
      make("span", (site.outcome === "wrong" ? "\\u2717 " : "") + site["class"] + ", " + site.experiment, button);
      button.setAttribute("aria-label", "Site " + site.id + ", class " + site["class"] + ", called " + site.outcome);
      button.addEventListener("click", function () { show(site); by("site-title").focus(); });
    });
    if (found.length && found.indexOf(chosen) < 0) { show(found[0]); } else { mark(); }
  }
  function mark() {
    by("gallery").querySelectorAll("button").forEach(function (button) {
      button.setAttribute("aria-pressed", String(chosen !== null && button.dataset.site === chosen.id));
    });
  }

  // ---- one site
  function show(site) {
    chosen = site;
    by("site").hidden = false;
    by("site-title").textContent = site.id;
    var facts = by("facts");
    facts.replaceChildren();
    [["Cell type, experiment", site.cell + ", " + site.experiment], ["Class", site["class"]],
     ["This network, from this site, among all classes",
      site.called + " (probability " + Math.round(100 * site.p) + " %), " + site.outcome],
     ["All networks, from the well",
      site.scored + ", " + (site.scored === site["class"] ? "right" : "wrong")]].forEach(function (pair) {
      make("dt", pair[0], facts);
      make("dd", pair[1], facts);
    });
    var rows = by("attention"), most = site.attention && Math.max.apply(null, site.attention);
    rows.replaceChildren();
    explained.channels.forEach(function (name, i) {
      var row = make("tr", "", rows);
      if (site.attention && site.attention[i] === most) { row.className = "most"; }
      var values = ["correlation", "attention", "distance"].map(function (key) {
        return site[key] ? site[key][i].toFixed(2).replace("-", "\\u2212") : "no evidence";
      });
      [name].concat(values).forEach(function (text, column) {
        make("td", text, row).className = column ? "number" : "";
      });
    });
    var near = by("near");
    near.replaceChildren();
    site.near.forEach(function (other) {
      var target = sites.find(function (one) { return one.id === other.id; });
      var cell = make(target ? "button" : "div", "", make("li", "", near));
      var name = other["class"] || "called " + other.called;
      picture(explained.images[other.id], "Neighbour " + other.id, cell);
      make("span", name + ", " + other.experiment + ", cosine " + other.cosine.toFixed(2), cell);
      if (other["class"] === site["class"]) { cell.className = "same"; }
      if (target) {
        cell.type = "button";
        cell.addEventListener("click", function () { open(target); });
      }
    });
    draw();
    mark();
  }
  function step(by_how_many) {
    var found = matching(null), place = found.indexOf(chosen) + by_how_many;
    if (found.length) { show(found[(place + found.length) % found.length]); }
  }
  function open(site) {
    KEYS.forEach(function (key) { by(key).value = EVERY; });
    fill();
    chosen = site;
    gallery();
    show(site);
    by("site-title").focus();
  }
  function draw() {
    if (!chosen) { return; }
    var channel = Number(by("channel").value), name = channel < 0 ? "all channels" : explained.channels[channel];
    by("base").src = channel < 0 ? explained.images[chosen.id] : chosen.channels[channel];
    by("base").alt = "Site " + chosen.id + ", " + name;
    by("veil").src = chosen.cam;
    by("veil").alt = "Grad-CAM for class " + chosen.called;
    by("veil").hidden = !by("cam").checked;
  }

  // ---- search
  function sentence(i) {
    var type = wells.types[wells.type[i]].replace("_", " ");
    var known = wells["true"][i] >= 0, called = wells.called[i] >= 0;
    var text = type + " well of " + wells.cells[wells.cell[i]] + ", " + wells.roles[wells.role[i]] + ". ";
    text += known ? "Class: " + wells.classes[wells["true"][i]] + ". " : "Its class is not known. ";
    if (called) {
      var submitted = wells.roles[wells.role[i]].indexOf("test") === 0;
      text += (submitted ? "Submitted: " : "Called by all networks: ") + wells.classes[wells.called[i]];
      var before = submitted ? ", before the layout was used" : "";
      text += wells.percent[i] >= 0 ? " (probability " + wells.percent[i] + " %" + before + ")" : "";
      text += known ? (wells["true"][i] === wells.called[i] ? ", right." : ", wrong.") : ".";
    }
    return text;
  }
  function tell(i) {
    var box = by("well"), id = wells.id[i];
    var site = sites.find(function (one) { return one.well === id; });
    box.replaceChildren();
    make("b", id, make("p", "", box));
    make("p", sentence(i), box);
    if (site) {
      var button = make("button", "Look at its image", box);
      button.type = "button";
      button.addEventListener("click", function () { open(site); });
    } else {
      make("code", "cellsignal row " + id, make("p", "All that led to it: ", box));
    }
  }
  function find() {
    var text = by("search").value.trim().toLowerCase(), list = by("matches"), hint = by("search-hint");
    list.replaceChildren();
    var found = [];
    if (text) { wells.id.forEach(function (id, i) { if (id.toLowerCase().indexOf(text) >= 0) { found.push(i); } }); }
    var more = found.length > SHOWN ? "; the first " + SHOWN + " are listed" : "";
    hint.textContent = text ? found.length + " of " + wells.id.length + " wells match" + more
      : wells.id.length + " wells, such as " + wells.id[0];
    found.slice(0, SHOWN).forEach(function (i) {
      var button = make("button", wells.id[i], make("li", "", list));
      button.type = "button";
      button.addEventListener("click", function () { tell(i); });
    });
    return found;
  }
  by("search").addEventListener("input", function () { by("well").replaceChildren(); find(); });
  by("search-form").addEventListener("submit", function (event) {
    event.preventDefault();
    var found = find(), exact = by("search").value.trim().toLowerCase();
    var same = found.filter(function (i) { return wells.id[i].toLowerCase() === exact; });
    if (same.length || found.length === 1) { tell(same.length ? same[0] : found[0]); return; }
    by("well").replaceChildren(make("p", found.length ? "Several wells match: choose one above." : "No such well."));
  });

  by("pickers").addEventListener("submit", function (event) { event.preventDefault(); });
  KEYS.forEach(function (key) { by(key).addEventListener("change", function () { fill(); gallery(); }); });
  by("previous").addEventListener("click", function () { step(-1); });
  by("next").addEventListener("click", function () { step(1); });
  by("channel").addEventListener("change", draw);
  by("cam").addEventListener("change", draw);
  find();
  fill();
  gallery();
})();
"""
