// The choice of the column that the others are compared with. Event: refer, with playground.reference.view.
const select = element.querySelector('select');
const label = element.querySelector('.reference');
label.title = 'Marks and sentences say where a column first parts from this one, and why.';

function draw() {
  if (!element.isConnected) return document.removeEventListener('playground:setup', draw);
  const count = playground.reference.count();
  label.hidden = count < 2;
  if (select.options.length === count + 1) return;
  const names = ['the column before', ...[...'ABCDEF'].slice(0, count).map((l) => `column ${l}`)];
  select.replaceChildren(...names.map((name, i) => new Option(name, i - 1)));
  select.value = playground.reference.view().reference ?? -1;
}
function chosen() {
  if (!element.isConnected) return document.removeEventListener('playground:reference', chosen);
  select.value = playground.reference.view().reference ?? -1;
  trigger('refer', playground.reference.view());
}
select.addEventListener('change', () => playground.reference.choose(Number(select.value)));
document.addEventListener('playground:reference', chosen);
document.addEventListener('playground:setup', draw);
draw();
