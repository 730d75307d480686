// playground.save(figure, told) puts a button into a view that saves it: as a picture (PNG, SVG), or what it shows
// as a table (CSV). told() gives {name, columns: […], rows: [[…], …]} at that moment: the file's name without its
// ending, and the table. Returns the button's box.
window.playground.save = (() => {
  const KINDS = { PNG: picture, SVG: drawn, CSV: table };
  const SHARP = 2; // pixels of a PNG for each one of the page

  function send(blob, name) {
    const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
  const UNWRITABLE = /[\0-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/g; // in XML, though a model may write them
  const written = async (figure) => new XMLSerializer().serializeToString(await playground.picture(figure))
    .toWellFormed().replace(UNWRITABLE, '\uFFFD');

  async function drawn(figure, { name }) {
    send(new Blob([await written(figure)], { type: 'image/svg+xml' }), `${name}.svg`);
  }

  async function picture(figure, { name }) {
    const image = new Image();
    const address = URL.createObjectURL(new Blob([await written(figure)], { type: 'image/svg+xml' }));
    image.src = address;
    await image.decode();
    const canvas = document.createElement('canvas');
    const most = Math.min(SHARP, 16_000 / Math.max(image.width, image.height));
    [canvas.width, canvas.height] = [image.width, image.height].map((side) => Math.round(side * most));
    canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    send(await new Promise((resolve) => canvas.toBlob(resolve, 'image/png')), `${name}.png`);
  }

  const cell = (value) => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  async function table(_, { name, columns, rows }) {
    const lines = [columns, ...rows].map((row) => row.map(cell).join(','));
    send(new Blob([`${lines.join('\n')}\n`], { type: 'text/csv;charset=utf-8' }), `${name}.csv`);
  }

  return (figure, told) => {
    const { part } = playground;
    const opener = part('button', { type: 'button', className: 'opener', title: 'Save this view' });
    const kinds = part('span', { className: 'kinds', hidden: true }, ...Object.entries(KINDS).map(([kind, save]) => {
      const button = part('button', { type: 'button', textContent: kind });
      button.addEventListener('click', async () => {
        const given = told();
        show(false);
        opener.focus();
        if (given) await save(figure, given);
      });
      return button;
    }));
    const box = part('div', { className: 'save' }, opener, kinds);
    const show = (open) => {
      kinds.hidden = !open;
      opener.setAttribute('aria-expanded', String(open));
    };
    box.dataset.unsaved = '';
    opener.setAttribute('aria-label', 'Save this view');
    opener.addEventListener('click', () => {
      show(kinds.hidden);
      if (!kinds.hidden) kinds.firstChild.focus();
    });
    box.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || kinds.hidden) return;
      event.stopPropagation();
      show(false);
      opener.focus();
    });
    box.addEventListener('focusout', ({ relatedTarget }) => {
      if (!box.contains(relatedTarget)) setTimeout(() => { if (!box.contains(document.activeElement)) show(false); });
    });
    show(false);
    figure.append(box);
    return box;
  };
})();
