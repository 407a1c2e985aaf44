// What a page does wrong at the window's size, in each look (the classes of a font and of a
// spacing). Evaluated in the page; returns a list of lines.
looks => {
  // Cut on purpose: `.clip` shows three lines of a text of any length, a name in the bar ends in an
  // ellipsis, and a select shows one of its options.
  const CUT = '.clip, .person__name, .skip, select, script, style'
  const FOCUSABLE = 'a[href], button, input, select, textarea, summary, [tabindex="0"]'
  const root = document.documentElement
  let styles, wrong

  const style = element => {
    if (!styles.has(element)) styles.set(element, getComputedStyle(element))
    return styles.get(element)
  }
  const name = element => element.tagName.toLowerCase() + (element.id && `#${element.id}`) +
    [...element.classList].map(one => `.${one}`).join('')
  const trail = element => {
    const names = []
    for (; element !== document.body && names.length < 3; element = element.parentElement) {
      names.unshift(name(element))
    }
    return names.join(' > ')
  }
  const seen = element => {
    if (!element.checkVisibility({ visibilityProperty: true })) return false
    for (; element; element = element.parentElement) {
      if (style(element).clipPath === 'inset(50%)') return false // for screen readers only
    }
    return true
  }
  const beyond = (box, room) => Math.ceil(Math.max(box.right - room.right, room.left - box.left) - 1)

  const measureText = text => {
    const holder = text.parentElement
    if (!text.data.trim() || holder.closest(CUT) || !seen(holder)) return
    const range = document.createRange()
    range.selectNodeContents(text)
    const box = range.getBoundingClientRect()
    if (!box.width) return
    let element = holder
    while (style(element).display === 'inline') element = element.parentElement
    let within = true // until an ancestor that floats over the page
    for (; element; element = element.parentElement) {
      const { overflowX, overflowY, position } = style(element)
      if (/auto|scroll/.test(overflowX)) return
      const room = element.getBoundingClientRect()
      if (within && beyond(box, room) > 0) wrong.add(`text spills by ${beyond(box, room)}: ${trail(holder)}`)
      within &&= !/absolute|fixed/.test(position)
      if (/hidden|clip/.test(overflowX) && beyond(box, room) > 0) {
        wrong.add(`text cut sideways by ${beyond(box, room)}: ${trail(holder)}`)
      }
      if (/hidden|clip/.test(overflowY) && (box.bottom > room.bottom + 1 || box.top < room.top - 1)) {
        wrong.add(`text cut in height: ${trail(holder)}`)
      }
    }
    const outside = beyond(box, { left: 0, right: innerWidth })
    if (outside > 0) wrong.add(`text outside the window by ${outside}: ${trail(holder)}`)
  }

  // Scroll each control as far behind a bar as the page lets it, then give it the focus.
  const measureFocus = () => {
    const bars = [...document.body.querySelectorAll('*')].filter(one => style(one).position === 'sticky')
    for (const element of bars.length ? document.querySelectorAll(FOCUSABLE) : []) {
      if (element.disabled || element.type === 'hidden' || !seen(element)) continue
      if (element.closest(CUT.replace(', select', '')) || bars.some(bar => bar.contains(element))) continue
      for (const block of ['start', 'end']) {
        root.style.scrollPadding = '0'
        element.scrollIntoView({ block, behavior: 'instant' })
        root.style.scrollPadding = ''
        element.focus()
        const box = element.getBoundingClientRect()
        element.blur()
        if (box.height > innerHeight / 2) continue // of what is taller than the room a part shows
        for (const bar of bars) {
          const over = bar.getBoundingClientRect()
          if (box.left < over.right && box.right > over.left &&
              box.top < over.bottom - 1 && box.bottom > over.top + 1) {
            wrong.add(`focus behind ${name(bar)}: ${trail(element)}`)
          }
        }
      }
    }
    scrollTo(0, 0)
  }

  return looks.flatMap(look => {
    styles = new Map()
    wrong = new Set()
    root.className = look
    for (const details of document.querySelectorAll('details')) details.open = true
    const { scrollWidth } = root
    if (scrollWidth > innerWidth) wrong.add(`scrolls sideways by ${scrollWidth - innerWidth}: page`)
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (texts.nextNode()) measureText(texts.currentNode)
    if (look === 'wide') measureFocus()
    return [...wrong].map(line => `${look}: ${line}`)
  })
}
