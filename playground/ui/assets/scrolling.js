// Scrolls a column's text: to its end while it is written, until a person scrolls back, and then to
// where it parts from another column's.
//
// parting() is the token's span there, if it parts.
window.playground.scrolling = (element, scroller, parting) => {
  let following = true; // whether to scroll to the end of the text, until a person scrolls back
  let top = 0; // the scroll position that this code knows
  let soon = 0;

  // After all columns are drawn: reading a height or scrolling in between forces a layout each time.
  function later(act) {
    cancelAnimationFrame(soon);
    soon = requestAnimationFrame(act);
  }
  function scrollTo(to) {
    scroller.scrollTop = to;
    top = scroller.scrollTop;
    fade();
  }
  // Fades the last visible line where the text goes on below, as a line cut in half looks like a fault.
  function fade() {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    scroller.classList.toggle('more', scrollHeight - scrollTop - clientHeight > 4);
  }

  scroller.addEventListener('scroll', () => {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    fade();
    if (scrollTop === top) return; // scrolled by this code
    const left = scrollHeight - scrollTop - clientHeight;
    // Further up, and not at the end: a person scrolled back. A text that got shorter is at its end,
    // and one that grew has not moved up.
    if (left >= 1 && scrollTop < top) following = false;
    else if (left < 24) following = true;
    top = scrollTop;
    if (document.querySelector('#together input')?.checked)
      document.dispatchEvent(new CustomEvent('playground:scroll', { detail: { top, from: scroller } }));
  });
  document.addEventListener('playground:scroll', function along({ detail }) {
    if (!element.isConnected) return document.removeEventListener('playground:scroll', along);
    if (detail.from === scroller) return;
    scrollTo(detail.top);
    following = scroller.scrollHeight - top - scroller.clientHeight < 24;
  });
  new ResizeObserver(fade).observe(scroller);

  return {
    get following() { return following; },
    begin() {
      scroller.scrollTop = top = 0;
      following = true;
    },
    follow() { following = true; },
    toEnd() { later(() => { if (following) scrollTo(scroller.scrollHeight); }); },
    // Two lines above the parting, or the beginning if the parting is visible from there.
    toParting() {
      later(() => {
        const at = parting();
        const line = at ? at.offsetTop - scroller.clientTop : 0;
        const seen = at && line + 2 * at.offsetHeight < scroller.clientHeight;
        scrollTo(seen ? 0 : line - 2 * (at?.offsetHeight ?? 0));
        following = false;
      });
    },
    stay() { cancelAnimationFrame(soon); },
  };
};
