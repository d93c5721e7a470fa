/** Which address a delivery leaves from. Pure: the random source is handed in. */
import type { Family, Pin } from '../delivery/types';
import { drawAmong, drawFrom, indexOf, type PoolIndex } from './draw';
import type { PoolAddress } from './pool';

/** What is known of our addresses at the destination's provider; lib/health has it. */
export interface Health {
    /** `open`: healthy; `probe`: one delivery may try; `shut`: suspended. */
    standing(entry: PoolAddress): 'open' | 'probe' | 'shut';
    /** When it was struck last. */
    struckAt(entry: PoolAddress): number;
    /** Suspended for its reputation: a greylisted delivery does not keep it. */
    isBlamed(entry: PoolAddress): boolean;
}

export interface Choice {
    pool: readonly PoolAddress[];
    /** Families in which the destination can be reached. Both false: unknown, then any will do. */
    reachable: Readonly<Record<Family, boolean>>;
    /** Share of IPv6 where both ends have it, 0..1. */
    share: number;
    /** Addresses that this delivery was refused from, oldest first. */
    tried: readonly string[];
    /** A greylisted delivery keeps its address while the pool has it. */
    pin?: Pick<Pin, 'address'> | undefined;
    /** Undefined: all are healthy. */
    health?: Health | undefined;
    random: () => number;
}

/** Refusals of one delivery in one narrow range after which that range is left out. */
const MAX_IN_RANGE = 3;
/** Draws in search of a healthy address before all of them are looked at: enough where one in ten is healthy. */
const MAX_DRAWS = 64;

/**
 * Draws an address: the family first (so that many IPv6 addresses do not drown few IPv4 ones), then for IPv6 the narrow
 * range (/64), then the address, uniformly by weight among the healthy. Half-open ones take part in first attempts: the
 * delivery that draws one is its probe. Addresses tried before are left out while another one is left, and
 * those that share no range with a tried one come first. After an IPv6 refusal IPv4 is next.
 *
 * When all are suspended, the one that was struck the longest ago is given: it is for the caller to use it or not.
 *
 * @returns undefined only when the pool has no address at all for this destination
 */
export function choose(choice: Choice): PoolAddress | undefined {
    const { pool, pin, health } = choice;
    const kept = pin && indexOf(pool).byAddress.get(pin.address);
    if (kept && !health?.isBlamed(kept)) {
        return kept;
    }
    return drawByChance(choice) ?? drawFromAll(choice);
}

/** What is left for a delivery to try: a healthy address, only suspended ones (which come back), or none at all. */
export type Left = 'open' | 'suspended' | 'none';

/** What of the pool can reach the destination and may still be tried. Looks no further than to the first healthy address. */
export function whatIsLeft(choice: Pick<Choice, 'pool' | 'reachable' | 'tried' | 'health'>): Left {
    const isOver = rangesOver(choice);
    let left: Left = 'none';
    for (const entry of choice.pool) {
        if (!canReach(choice.reachable, entry) || choice.tried.includes(entry.address)) {
            continue;
        }
        if (!isOpen(entry, choice.health)) {
            left = 'suspended';
        } else if (!isOver(entry)) {
            return 'open';
        }
    }
    return left;
}

/**
 * One healthy address of the family that was not drawn: ZoneMTA falls back to it when the drawn family cannot connect at all.
 * Where chance finds none, hardly any is healthy, and there is no falling back.
 */
export function chooseOther(choice: Choice, chosen: PoolAddress): PoolAddress | undefined {
    const other: Family = chosen.family === 'ipv4' ? 'ipv6' : 'ipv4';
    if (choice.reachable[chosen.family] && !choice.reachable[other]) {
        return undefined;
    }
    const drawn = drawByChance({ ...choice, reachable: { ipv4: other === 'ipv4', ipv6: other === 'ipv6' } });
    return drawn && isOpen(drawn, choice.health) ? drawn : undefined;
}

/**
 * Without a look at each address: draws until one comes up that is welcome. The distribution is that of a draw among those,
 * and a pool of 65,536 addresses costs what one of 16 does.
 *
 * @returns undefined when chance finds none: then all have to be looked at
 */
function drawByChance(choice: Choice): PoolAddress | undefined {
    const { pool, tried, random } = choice;
    const index = indexOf(pool);
    for (const family of familiesInOrder(choice, index)) {
        const isWelcome = tried.length === 0 ? isNotShut(choice) : isFarAndOpen(choice, index, family);
        for (let draw = 0; draw < MAX_DRAWS; draw++) {
            const entry = drawFrom(index[family], random);
            if (entry && isWelcome(entry)) {
                return entry;
            }
        }
    }
    return undefined;
}

/** The drawn family, and for a first attempt the other one, in case that all of the drawn one is suspended. */
function familiesInOrder({ reachable, share, tried, random }: Choice, index: PoolIndex): Family[] {
    const unknown = reachable.ipv4 === reachable.ipv6;
    const families = (['ipv4', 'ipv6'] as const).filter(family => (unknown || reachable[family]) && index[family].total > 0);
    if (families.length < 2) {
        return families;
    }
    if (tried.length > 0) {
        return [drawnFamily(tried, share, random)];
    }
    return drawnFamily(tried, share, random) === 'ipv6' ? families.reverse() : families;
}

function isNotShut({ health }: Choice): (entry: PoolAddress) => boolean {
    return entry => health?.standing(entry) !== 'shut';
}

/** Says of an address of the family whether a delivery that was refused before may take it; the same order as in `farthest`. */
function isFarAndOpen(choice: Choice, index: PoolIndex, family: Family): (entry: PoolAddress) => boolean {
    const { tried, health } = choice;
    const isOver = rangesOver(choice);
    const struck = tried.flatMap(address => index.byAddress.get(address) ?? []).filter(entry => entry.family === family);
    const widths = struck.reduce((most, { ranges }) => Math.max(most, ranges.length), 0);
    for (let width = widths - 1; width >= 0; width--) {
        const near = new Set(struck.map(entry => entry.ranges[width] ?? ''));
        // else the whole family lies in ranges of this width that have refused
        if ([...near].reduce((sum, range) => sum + (index.sizes.get(range) ?? 0), 0) < index[family].total) {
            return entry => !near.has(entry.ranges[width] ?? '') && isOpen(entry, health);
        }
    }
    return entry => !tried.includes(entry.address) && !isOver(entry) && isOpen(entry, health);
}

/** After a refusal over IPv6, where providers are stricter, IPv4 is next. */
function drawnFamily(tried: readonly string[], share: number, random: () => number): Family {
    const refusedOverIPv6 = tried.some(address => address.includes(':'));
    return !refusedOverIPv6 && random() < share ? 'ipv6' : 'ipv4';
}

function drawFromAll(choice: Choice): PoolAddress | undefined {
    const { pool, tried, health, random } = choice;
    const usable = candidates(choice);
    const isOver = rangesOver(choice);
    const notShut = usable.filter(isNotShut(choice));
    const untried = tried.length === 0 ? notShut : notShut.filter(entry => !tried.includes(entry.address) && !isOver(entry));
    // a delivery that was refused already is a poor probe: it may be the message
    const open = untried.filter(entry => isOpen(entry, health));
    const [field] = [open, untried, notShut].filter(entries => entries.length > 0);
    return field ? drawAmong(farthest(drawFamily(field, choice), pool, tried), random) : longestAgo(usable, choice);
}

/** The one whose last strike is the oldest, untried ones first; chance decides between equals. */
function longestAgo(usable: readonly PoolAddress[], { health, tried, random }: Choice): PoolAddress | undefined {
    const untried = tried.length === 0 ? usable : usable.filter(entry => !tried.includes(entry.address));
    let oldest: PoolAddress[] = [];
    let least = Infinity;
    for (const entry of untried.length > 0 ? untried : usable) {
        const at = health?.struckAt(entry) ?? 0;
        if (at < least) {
            [least, oldest] = [at, []];
        }
        if (at === least) {
            oldest.push(entry);
        }
    }
    return drawAmong(oldest, random);
}

function isOpen(entry: PoolAddress, health: Health | undefined): boolean {
    return !health || health.standing(entry) === 'open';
}

/** Says of an address whether its narrow range has refused this delivery often enough. */
function rangesOver({ pool, tried }: Pick<Choice, 'pool' | 'tried'>): (entry: PoolAddress) => boolean {
    const counts = new Map<string, number>();
    for (const address of new Set(tried)) {
        const range = indexOf(pool).byAddress.get(address)?.ranges[0];
        if (range !== undefined) {
            counts.set(range, (counts.get(range) ?? 0) + 1);
        }
    }
    return ({ ranges: [range] }) => range !== undefined && (counts.get(range) ?? 0) >= MAX_IN_RANGE;
}

function candidates({ pool, reachable }: Pick<Choice, 'pool' | 'reachable'>): readonly PoolAddress[] {
    return pool.filter(entry => canReach(reachable, entry));
}

/** Has the destination an address of this family? Where nothing is known, any will do. */
export function canReach(reachable: Choice['reachable'], { family }: PoolAddress): boolean {
    return reachable.ipv4 === reachable.ipv6 || reachable[family];
}

/** Those of the field that are of one family. */
function drawFamily(field: readonly PoolAddress[], { share, tried, random }: Choice): readonly PoolAddress[] {
    const [first] = field;
    if (!field.some(entry => entry.family !== first?.family)) {
        return field;
    }
    const family = drawnFamily(tried, share, random);
    return field.filter(entry => entry.family === family);
}

/** Of the field, those that share no wide range with a tried address; failing that no narrow one; failing that all. */
function farthest(field: readonly PoolAddress[], pool: readonly PoolAddress[], tried: readonly string[]): readonly PoolAddress[] {
    if (tried.length === 0) {
        return field;
    }
    const struck = tried.flatMap(address => indexOf(pool).byAddress.get(address) ?? []);
    const widths = field.reduce((most, entry) => Math.max(most, entry.ranges.length), 0);
    for (let width = widths - 1; width >= 0; width--) {
        const ranges = new Set(struck.map(entry => entry.ranges[width]));
        const far = field.filter(entry => !ranges.has(entry.ranges[width]));
        if (far.length > 0) {
            return far;
        }
    }
    return field;
}

