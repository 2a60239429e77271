// What the server tells of a tile: for the type check only, no browser loads it.
import type { Value } from './ages.js';

/** What does not differ from the usual is left out: `c` condition, `s` signal, `su` until when, `nx` and `to` who is told next. */
export interface Alarm {
  id: string;
  p: 'high' | 'medium' | 'low';
  k: string;
  text: Record<string, string>;
  onset: number;
  by: string | null;
  late: boolean;
  name?: string | null;
  c?: string;
  s?: string;
  su?: number;
  ended?: number;
  nx?: number;
  to?: string[];
  n?: number;
  e?: number;
  r?: string;
}

/** Something that is switched off. */
export interface Off {
  k: string;
  of: string;
  name: string;
  u: number;
  by: string;
  why: string;
}

/** See `score_of`: sum, worst, what is not known, oldest (ms), scale. Null: nothing known; false: not meant for the patient. */
export type News = [number, number, string[], number, number] | null | false;

/** See `risk_shown`: known, stale or unknown; what stands on the tile; as of when (ms). Null: not meant for the patient. */
export type Risk = [string, string, number] | null;

/** What changes of a tile; `m`: how many of the patient's messages nobody has seen. */
export interface Patch {
  v: Record<string, Value>;
  a: Alarm[];
  q: Alarm[];
  i: Off[];
  n: News;
  k: Risk;
  m: number;
}

export interface TileData extends Patch {
  id: string;
  name: string;
  bed: string;
  ward: string;
  wardName: string;
  by: string;
  home: boolean;
  t: [number, number][];
}

/** What all tiles of a page share; `still`: nothing may move now. */
export interface Shared {
  strings: Record<string, string>;
  language: string;
  assets: string;
  mayAccept: boolean;
  clock: Intl.DateTimeFormat;
  still: () => boolean;
}
