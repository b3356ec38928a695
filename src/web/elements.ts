/** The page's elements, found and made with their types checked. */
import { invariant } from "../base/errors.ts";

/** The element with this id. @throws InvariantError when the page has none of that type: page and script differ. */
export function byId<Type extends HTMLElement | SVGElement>(id: string, type: new () => Type): Type {
  const element = document.getElementById(id);
  invariant(element instanceof type, `the page has no ${type.name} with id ${id}`);
  return element;
}

/** Makes an element with a class and children; strings become text. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (className !== "") element.className = className;
  element.append(...children);
  return element;
}

/** Makes an SVG element with attributes. */
export function makeSvg<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>>,
): SVGElementTagNameMap[Tag] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Whether the reader asked for less motion. Read each time: it may change. */
export function wantsLessMotion(): boolean {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
