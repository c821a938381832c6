/* router.ts: the page's address holds what it shows.
 *
 * "#live?sel=9f86&metric=memory": a view and its settings. A link opens the view again as it was. Changed settings
 * replace the address, so that the back button goes from view to view and not from click to click.
 */

export const VIEWS = ["live", "history", "compare", "traces"] as const;
export type ViewName = (typeof VIEWS)[number];

export interface Place {
  view: ViewName;
  settings: URLSearchParams;
}

/** Anything that is no view is the live one. */
export function parsePlace(hash: string): Place {
  const [name = "", query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const view = VIEWS.find((v) => v === name) ?? "live";
  return { view, settings: new URLSearchParams(query) };
}

export function placeHash(view: ViewName, settings: URLSearchParams | Record<string, string>): string {
  const query = new URLSearchParams(settings).toString();
  return `#${view}${query ? `?${query}` : ""}`;
}

export class Router {
  private place = parsePlace(location.hash);

  constructor(private readonly onPlace: (place: Place) => void) {
    addEventListener("hashchange", () => {
      this.place = parsePlace(location.hash);
      this.onPlace(this.place);
    });
  }

  get view(): ViewName {
    return this.place.view;
  }

  get(name: string): string {
    return this.place.settings.get(name) ?? "";
  }

  /** Sets some settings of the view that is shown; an empty one is left out. */
  set(changes: Record<string, string>): void {
    const { view, settings } = this.place;
    for (const [name, value] of Object.entries(changes)) {
      if (value) settings.set(name, value);
      else settings.delete(name);
    }
    const hash = placeHash(view, settings);
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }

  go(view: ViewName, settings: Record<string, string>): void {
    location.hash = placeHash(view, settings);
  }
}
