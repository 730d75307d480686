// How the columns differ from the run that is pinned in the history. Drawn at the document event 'playground:baseline'
// {id, title, when, told, columns: [{letter, colour, told}]}, or null for none; see archive.js.
const $ = (selector) => element.querySelector(selector);
const box = $('.baseline');

function draw({ detail }) {
  if (!element.isConnected) return document.removeEventListener('playground:baseline', draw);
  box.hidden = !detail;
  if (!detail) return;
  const when = new Date(1000 * detail.when).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
  $('b').textContent = `“${detail.title.slice(0, 60)}${detail.title.length > 60 ? '…' : ''}”, ${when}`;
  $('.told').textContent = detail.told;
  $('.held').replaceChildren(...detail.columns.map(({ letter, colour, told }) => {
    const item = document.createElement('li');
    const badge = Object.assign(document.createElement('i'), { textContent: letter });
    badge.style.setProperty('--colour', colour);
    item.append(badge, told);
    return item;
  }));
}
document.addEventListener('playground:baseline', draw);
$('.unpin').addEventListener('click', () => document.dispatchEvent(new CustomEvent('playground:unpin')));
