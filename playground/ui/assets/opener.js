// Opens a saved comparison: its file or its JSON, chosen or dropped anywhere on the page.
// Event: bring {name, data: the comparison's JSON, compressed, in base64} or {name, fault}, in its turn.
const [choose, chosen, drop] = ['.choose', '.chosen', '.drop'].map((s) => element.querySelector(s));
const MOST = 64 << 20; // bytes of the largest file
const SENT = 3.5 * 2 ** 20; // characters of the largest request

// Characters of base64, in chunks that one call can take.
function letters(bytes) {
  let binary = '';
  for (let i = 0; i < bytes.length; i += 32_768) binary += String.fromCharCode(...bytes.subarray(i, i + 32_768));
  return btoa(binary);
}
async function packed(text) {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('gzip'));
  return letters(new Uint8Array(await new Response(stream).arrayBuffer()));
}

async function read(file) {
  if (file.size > MOST) throw new Error('the file is longer than any comparison that this page can show.');
  const text = await file.text();
  if (text.trimStart().startsWith('{')) return packed(text);
  // Parsed alone: nothing in it runs, and nothing of it comes onto this page.
  const kept = new DOMParser().parseFromString(text, 'text/html').querySelector('#run[type="application/gzip"]');
  if (!kept) throw new Error('the file holds no comparison that this playground saved.');
  return kept.textContent.trim();
}

async function open(file) {
  let told;
  try {
    const data = await read(file);
    if (data.length > SENT) throw new Error('its comparison is too long to be sent to this server.');
    told = { name: file.name, data };
  } catch (error) {
    told = { name: file.name, fault: error.message };
  }
  playground.turns.take(() => {
    trigger('bring', told);
    return true;
  });
}

choose.addEventListener('click', () => chosen.click());
chosen.addEventListener('change', () => {
  if (chosen.files.length) open(chosen.files[0]);
  chosen.value = ''; // the same file may be chosen again
});

const brings = (event) => [...(event.dataTransfer?.types ?? [])].includes('Files');
const on = {
  dragover(event) {
    if (!brings(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    drop.hidden = false;
  },
  dragleave(event) {
    if (!event.relatedTarget) drop.hidden = true;
  },
  drop(event) {
    drop.hidden = true;
    if (!brings(event)) return;
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    const takes = event.target.closest?.('[data-drops]'); // it reads files of another kind
    if (file && takes) takes.dispatchEvent(new CustomEvent('playground:dropped', { detail: file }));
    else if (file) open(file);
  },
};
for (const [name, act] of Object.entries(on))
  document.addEventListener(name, function heard(event) {
    if (element.isConnected) act(event);
    else document.removeEventListener(name, heard);
  });
