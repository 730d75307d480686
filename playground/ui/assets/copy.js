// playground.copy(text, button) puts a text on the clipboard, and has the button say so for a moment; resolves to
// whether it did. Without https, or in a frame, a browser has no clipboard: then the text is copied by way of a
// selection, and where that is refused too, it is shown, to be copied by hand.
window.playground.copy = (() => {
  const SAID = 1500; // milliseconds
  const saying = new WeakSet(); // buttons that say so

  function selected(text) {
    const home = document.activeElement?.closest('dialog') ?? document.body; // elsewhere a dialog takes no selection
    const box = playground.part('textarea', { value: text, readOnly: true });
    box.style.cssText = 'position: fixed; opacity: 0';
    const focused = document.activeElement;
    home.append(box);
    box.select();
    const done = document.execCommand('copy');
    box.remove();
    focused?.focus({ preventScroll: true });
    return done;
  }

  return async (text, button = null) => {
    try { await navigator.clipboard.writeText(text); } catch {
      if (!selected(text)) {
        window.prompt('Copy this', text);
        return false;
      }
    }
    if (!button || saying.has(button)) return true;
    const label = button.textContent;
    saying.add(button);
    button.textContent = 'Copied';
    setTimeout(() => {
      button.textContent = label;
      saying.delete(button);
    }, SAID);
    return true;
  };
})();
