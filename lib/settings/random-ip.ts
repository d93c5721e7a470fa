import * as v from 'valibot';
import { table, tableOf } from './tables';
import { network, numberBetween } from './values';

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
    weights: v.optional(tableOf(network, numberBetween(0, 100)), {})
});

/** `families`: share of IPv6 by provider key, `default` for all others. `weights`: by CIDR string, a single address too. */
export type RandomIpSettings = v.InferOutput<typeof randomIpSchema>;
