import * as v from 'valibot';
import { table, tableOf } from './tables';
import { duration } from './units';
import { date, network, numberBetween, wholeNumber } from './values';

const DEFAULT_FAMILIES = { default: 0.5 };

/** Options of `modules/zonemta-smart-relay/random-ip`. */
export const randomIpSchema = table({
    families: v.optional(
        v.pipe(
            tableOf(v.string(), numberBetween(0, 1)),
            v.transform((own): { default: number; [provider: string]: number } => ({ ...DEFAULT_FAMILIES, ...own }))
        ),
        {}
    ),
    weights: v.optional(tableOf(network, numberBetween(0, 100)), {}),
    warmUp: v.optional(
        v.pipe(
            table({
                since: v.optional(tableOf(network, date), {}),
                perDay: v.optional(wholeNumber(1, 100_000), 50),
                doubleEvery: v.optional(duration('1h', '90d'), '3d'),
                fullAt: v.optional(wholeNumber(1, 1_000_000), 10_000)
            }),
            v.rawCheck(({ dataset, addIssue }) => {
                if (dataset.typed && dataset.value.fullAt <= dataset.value.perDay) {
                    const message = `not above perDay (${dataset.value.perDay}), so no address would ever be in warm-up: expected more`;
                    addIssue({ message, path: [{ type: 'object', origin: 'value', input: {}, key: 'fullAt', value: dataset.value.fullAt }] });
                }
            })
        ),
        {}
    ),
    burst: v.optional(wholeNumber(1, 100), 1)
});

/**
 * `families`: share of IPv6 by provider key, `default` for all others. `weights` and `warmUp.since` (Unix ms): by CIDR string, a
 * single address too. `warmUp.doubleEvery` in ms.
 */
export type RandomIpSettings = v.InferOutput<typeof randomIpSchema>;
