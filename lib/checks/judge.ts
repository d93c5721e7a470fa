/**
 * Which addresses the checks leave out of the draw. Pure.
 *
 * A check that would leave out all addresses of a family, or more than half of a zone's pool together with the others, is
 * taken to be at fault itself: it leaves out none there, and the operator is told. Only what cannot be bound is left out in any
 * case: a connection from there cannot even begin.
 */
import type { PoolAddress } from '../pool/pool';
import { CHECKS, type CheckName, type Finding, type Findings } from './finding';

type Entry = Pick<PoolAddress, 'address' | 'family'>;

/** Addresses by zone. */
export type Pools = ReadonlyMap<string, readonly Entry[]>;

/** A check that is not believed in a zone. */
export interface Doubt {
    check: CheckName;
    zone: string;
    /** How many addresses it would leave out, of how many. */
    failing: number;
    of: number;
}

export interface Judgement {
    /** Left out, each with the finding that counts. */
    out: ReadonlyMap<string, Finding>;
    /** Not left out by what is known, but a check that could leave it out could not be made: what was before holds. */
    undecided: ReadonlySet<string>;
    doubted: readonly Doubt[];
}

/** @param leaveOut checks whose failing leaves an address out; those that are not named only warn */
export function judge(pools: Pools, findings: Findings, leaveOut: readonly CheckName[]): Judgement {
    const out = new Map<string, Finding>();
    const doubted: Doubt[] = [];
    for (const check of CHECKS.filter(name => name === 'bindable' || leaveOut.includes(name))) {
        const failing = failingIn(findings, check);
        const usable = [...pools].map(([zone, pool]) => ({ zone, pool: pool.filter(({ address }) => out.get(address)?.check !== 'bindable') }));
        const doubts = check === 'bindable' ? [] : usable.filter(({ pool }) => pool.some(({ address }) => failing.has(address)) && isTooMuch(pool, ({ address }) => out.has(address) || failing.has(address)));
        doubted.push(...doubts.map(({ zone, pool }) => ({ check, zone, failing: pool.filter(({ address }) => failing.has(address)).length, of: pool.length })));
        const spared = new Set(doubts.flatMap(({ pool }) => pool.map(({ address }) => address)));
        for (const [address, found] of failing) {
            if (!out.has(address) && !spared.has(address)) {
                out.set(address, found);
            }
        }
    }
    const undecided = [...findings].filter(([address, all]) => !out.has(address) && all.some(({ check, result }) => result === 'unknown' && leaveOut.includes(check)));
    return { out, undecided: new Set(undecided.map(([address]) => address)), doubted };
}

/** All addresses of a family, or more than half of the pool? */
export function isTooMuch(pool: readonly Entry[], isOut: (entry: Entry) => boolean): boolean {
    const left = pool.filter(entry => !isOut(entry));
    return 2 * left.length < pool.length || pool.some(({ family }) => !left.some(entry => entry.family === family));
}

function failingIn(findings: Findings, check: CheckName): Map<string, Finding> {
    return new Map([...findings].flatMap(([address, all]) => all.filter(found => found.check === check && found.result === 'failed').map(found => [address, found] as const).slice(0, 1)));
}
