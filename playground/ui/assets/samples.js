// The texts behind a row or a point of an experiment.
// value: {id, recipe, name, written, more, texts: [{prompt, expected, seed, text, error}]}; text by textContent alone.
const [title, told, list] = ['h3', '.told', '.list'].map((s) => element.querySelector(s));
let shown = null;
const { part } = playground;
function draw() {
  const v = props.value;
  element.hidden = !v;
  if (!v) return;
  title.textContent = v.name;
  told.textContent = v.name === v.written ? '' : v.written;
  if (v.more) told.textContent += ' The first texts; the CSV has all.';
  const groups = new Map();
  for (const text of v.texts) groups.set(text.prompt, [...(groups.get(text.prompt) ?? []), text]);
  list.replaceChildren(...[...groups].map(([prompt, texts]) => {
    const head = part('blockquote', { textContent: prompt });
    if (texts[0].expected !== null) head.append(part('span', { className: 'expected', textContent: `expected: ${texts[0].expected}` }));
    return part('article', {}, head, ...texts.map(({ seed, text, error }) => part('div', { className: error ? 'text failed' : 'text' },
      part('small', { textContent: `seed ${seed}` }), part('p', { textContent: error ?? text }))));
  }));
  if (!v.texts.length) list.replaceChildren(part('p', { textContent: 'No text of this recipe is written yet.' }));
  if (shown !== v) element.querySelector('.samples').scrollIntoView({ block: 'nearest', behavior: 'smooth' });
  shown = v;
}
playground.experiments.listen('experiment', (id) => { if (props.value && props.value.id !== id) element.hidden = true; });
watch('value', draw);
draw();
