/** What an address that is new may send: a few a day to each provider, and more as it gets older. Pure. */
import type { PoolAddress } from './pool';

export interface WarmUp {
    /** Messages a day and provider at the start. */
    perDay: number;
    /** The allowance doubles in this time, ms. */
    doubleEvery: number;
    /** Messages a day and provider with which an address counts as old. */
    fullAt: number;
}

/** Messages that an address may send to one provider on a day now; undefined when it is not in warm-up (any more). */
export function allowanceOf({ since }: Pick<PoolAddress, 'since'>, now: number, { perDay, doubleEvery, fullAt }: WarmUp): number | undefined {
    if (since === undefined) {
        return undefined;
    }
    const allowance = Math.floor(perDay * 2 ** (Math.max(0, now - since) / doubleEvery));
    return allowance < fullAt ? allowance : undefined;
}
