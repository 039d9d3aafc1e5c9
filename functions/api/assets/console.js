// Keeps a page fresh and its times local. Pages are complete without it.
'use strict';
(() => {
  const MOVING_MS = 2500, STILL_MS = 20000, AGES_MS = 15000;
  const local = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

  const age = (at) => {
    const s = Math.max(0, Math.floor((Date.now() - at) / 1000));
    const two = (large, unit, small, of) => `${large} ${unit}${small ? ` ${small} ${of}` : ''} ago`;
    if (s < 60) return `${s} s ago`;
    if (s < 3600) return two(Math.floor(s / 60), 'min', s % 60, 's');
    if (s < 86400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min');
    return two(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h');
  };

  // UTC stays in the title.
  const localize = (root) => root.querySelectorAll('time[datetime]').forEach((time) => {
    const at = new Date(time.dateTime);
    time.textContent = 'age' in time.dataset ? age(at) : local.format(at);
  });

  // What somebody works in is left alone: a field with focus, or one that was changed.
  const isInUse = (region) => region.contains(document.activeElement) && document.activeElement !== region
    || [...region.querySelectorAll('input, select, textarea')].some((field) => field.type === 'checkbox'
      ? field.checked !== field.defaultChecked
      : field.tagName !== 'SELECT' && field.type !== 'hidden' && field.value !== field.defaultValue);

  const openOnes = (region) => new Set([...region.querySelectorAll('details[open][id]')].map((one) => one.id));

  const swap = (fresh) => {
    for (const region of document.querySelectorAll('[data-live][id]')) {
      const next = fresh.getElementById(region.id);
      if (!next || isInUse(region)) continue;
      const open = openOnes(region);
      next.querySelectorAll('details[id]').forEach((one) => { one.open = one.open || open.has(one.id); });
      if (!next.isEqualNode(region)) region.replaceWith(document.importNode(next, true));
    }
    for (const section of fresh.querySelectorAll('section[aria-labelledby]')) {
      const here = document.querySelector(`section[aria-labelledby="${CSS.escape(section.getAttribute('aria-labelledby'))}"]`);
      if (here) here.hidden = section.hidden;
    }
    document.getElementById('main').toggleAttribute('data-moves', fresh.getElementById('main').hasAttribute('data-moves'));
  };

  // What is shown stays, and says that it is old.
  const look = () => renew().then(() => stale(false), () => stale(true));
  // Leaving breaks off what was asked for, which says nothing.
  let leaves = false;
  const stale = (is) => { document.getElementById('stale').hidden = !is || leaves; };
  addEventListener('beforeunload', () => { leaves = true; });

  const renew = async () => {
    const address = new URL(location.href);
    address.searchParams.delete('done');
    const answer = await fetch(address, { headers: { accept: 'text/html' }, redirect: 'error' });
    const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (!fresh || !fresh.querySelector('[data-page]')) throw new Error('no page');
    localize(fresh);
    swap(fresh);
  };

  const later = () => {
    const moves = document.getElementById('main').hasAttribute('data-moves');
    setTimeout(async () => {
      if (!document.hidden) await look();
      later();
    }, moves ? MOVING_MS : STILL_MS);
  };

  localize(document);
  if (document.querySelector('[data-live][id]')) later();
  setInterval(() => { if (!document.hidden) localize(document); }, AGES_MS);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) look(); });
  // A page that the browser kept may send its forms again.
  addEventListener('pageshow', () => { leaves = false; document.querySelectorAll('form[data-sent]').forEach((form) => delete form.dataset.sent); });
  // The second click of an impatient person does nothing.
  document.addEventListener('submit', (event) => {
    if (event.target.dataset.sent) event.preventDefault();
    event.target.dataset.sent = 'yes';
  });
})();
