(() => {
  const root = document.documentElement;
  const name = (element) => element.tagName.toLowerCase() + (element.className && element.className.baseVal === undefined ? '.' + element.className : '');
  const visible = (element) => element.checkVisibility && element.checkVisibility();

  const wide = [...document.body.querySelectorAll('*')].filter((element) => {
    const box = element.getBoundingClientRect();
    return visible(element) && box.width > 0 && (box.right > innerWidth + 0.5 || box.left < -0.5);
  }).map(name).slice(0, 5);

  const add = (sums, fate, count) => { sums[fate] = (sums[fate] || 0) + Number(count); return sums; };
  const strip = [...document.querySelectorAll('.strip a')].flatMap((cell) => cell.dataset.fates.split(' '))
    .reduce((sums, part) => add(sums, ...part.split(':')), {});
  const legend = [...document.querySelectorAll('.legend [data-fate]')]
    .reduce((sums, entry) => add(sums, entry.dataset.fate, entry.dataset.count), {});

  const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !visible(element)) continue;
    const seen = ratio(channels(getComputedStyle(element).color), behind(element));
    if (seen < 4.5) faint.push(`${name(element)} ${texts.currentNode.data.trim().slice(0, 30)}: ${seen.toFixed(2)}`);
  }

  const variable = (of) => {
    const hex = getComputedStyle(root).getPropertyValue('--' + of).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  };
  const closest = (fills) => fills.flatMap((one, at) => fills.slice(at + 1).map((other) => (
    { fills: `${one} and ${other}`, ratio: ratio(variable(one), variable(other)) }
  ))).sort((a, b) => a.ratio - b.ratio)[0];

  return {
    scroll: root.scrollWidth, wide, strip, legend, faint: [...new Set(faint)].slice(0, 5),
    closest: {
      fates: closest(['sent', 'taken', 'never', 'aborted', 'refused', 'kept', 'wrong']),
      states: closest(['running', 'cancelling', 'draining', 'stopped', 'out']),
    },
  };
})()
