// This column's recipe applied to the next token. Text enters the page by textContent alone.
// Drawn at the document event 'playground:preview' {columns: {lane: {bars, told} or {note, refused}}},
// or {fault} or {wait}; without a detail a response is on its way.
// Constants: lane, colour
const [box, note, bars] = ['.preview', '.note', '.bars'].map((s) => element.querySelector(s));
const home = element.closest('.lane');

// Made once and changed in place, so that bars move from their old heights to the new ones.
function cell() {
  const made = document.createElement('div');
  for (const part of ['pair', 'text', 'values']) {
    const child = document.createElement('span');
    child.className = part;
    made.append(child);
  }
  made.firstChild.append(...['raw', 'final'].map((name) => {
    const bar = document.createElement('i');
    bar.className = name;
    return bar;
  }));
  return made;
}

function draw({ bars: list = [], told = '', note: said = '', refused = false }) {
  box.classList.toggle('refused', refused);
  note.textContent = said;
  note.hidden = !said;
  bars.hidden = !list.length;
  bars.setAttribute('aria-label', told);
  bars.title = told.replaceAll('; ', '\n').replace(': ', ':\n');
  const top = Math.max(...list.flatMap(([, raw, final]) => [raw, final]), 1e-9);
  while (bars.children.length > list.length) bars.lastChild.remove();
  while (bars.children.length < list.length) bars.append(cell());
  list.forEach(([text, raw, final, removed, chosen, values], i) => {
    const [pair, name, numbers] = bars.children[i].children;
    bars.children[i].className = `${removed ? 'removed' : ''} ${chosen ? 'chosen' : ''}`;
    pair.children[0].style.height = `${(100 * raw) / top}%`;
    pair.children[1].style.height = `${(100 * final) / top}%`;
    name.textContent = text;
    numbers.textContent = values;
  });
}

function hear({ detail }) {
  if (!element.isConnected) return document.removeEventListener('playground:preview', hear);
  box.classList.toggle('waiting', !detail);
  if (detail) draw(detail.columns?.[lane] ?? { note: detail.fault ?? detail.wait });
}
document.addEventListener('playground:preview', hear);
home.dataset.lane = lane;
box.style.setProperty('--colour', colour);
draw({});
playground.redress(home);
