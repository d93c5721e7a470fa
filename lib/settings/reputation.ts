import * as v from 'valibot';
import { table } from './tables';
import { duration } from './units';
import { dnsLists, flag, numberBetween, wholeNumber } from './values';

const DELAYS = 'a list of 1 to 20 durations like "30s"';

/** How long an address is suspended: the first time, times `factor` each time again, up to `maximum`. */
function coolDown(first: string, factor: number, maximum: string) {
    return v.optional(
        table({
            first: v.optional(duration('1s', '7d'), first),
            factor: v.optional(numberBetween(1, 10), factor),
            maximum: v.optional(duration('1s', '30d'), maximum)
        }),
        {}
    );
}

/** Options of `modules/zonemta-smart-relay/reputation`. */
export const reputationSchema = table({
    attempts: v.optional(wholeNumber(0, 20), 4),
    delays: v.optional(v.pipe(v.array(duration('0s', '24h'), DELAYS), v.minLength(1, DELAYS), v.maxLength(20, DELAYS)), [
        '0s',
        '1s',
        '5s',
        '30s'
    ]),
    connectFailover: v.optional(flag, true),
    rerouteBudget: v.optional(
        table({
            share: v.optional(numberBetween(0, 10), 0.5),
            floor: v.optional(wholeNumber(0, 1_000_000), 60),
            perSender: v.optional(wholeNumber(0, 1_000_000), 200)
        }),
        {}
    ),
    coolDown: v.optional(
        table({
            'ip-reputation': coolDown('10m', 3, '24h'),
            'ip-rate': coolDown('2m', 2, '1h'),
            'ip-ptr': coolDown('6h', 2, '24h'),
            network: coolDown('5m', 2, '1h')
        }),
        {}
    ),
    rangeAfter: v.optional(wholeNumber(2, 100), 3),
    globalLists: v.optional(dnsLists, [])
});

/**
 * `connectFailover`: an address that is refused in the greeting, or cannot connect, is changed within the attempt. `delays` are in
 * milliseconds, never empty; the last one repeats. `rerouteBudget`: `share` of the first attempts of the last five minutes at a provider,
 * `floor` reroutes a minute and provider, `perSender` reroutes an hour. `coolDown` by class of reply, ms. `rangeAfter`: refused parts
 * that suspend a range. `globalLists`: DNS zones.
 */
export type ReputationSettings = v.InferOutput<typeof reputationSchema>;
