import * as v from 'valibot';
import { nearest } from './nearest';

const A_TABLE = 'a table of options';

type Input<E extends v.ObjectEntries> = v.InferInput<v.ObjectSchema<E, undefined>>;
type Output<E extends v.ObjectEntries> = v.InferOutput<v.ObjectSchema<E, undefined>>;

/**
 * A TOML table with exactly these options. Unlike v.strictObject it names every unknown option, not the first one only,
 * and neither a list nor a date passes for an empty table.
 */
export function table<const E extends v.ObjectEntries>(entries: E) {
    const names = Object.keys(entries);
    return v.pipe(
        v.custom<Input<E>>(isTable, A_TABLE),
        v.looseObject(entries, issue => whatIsMissing(entries, issue)),
        v.rawCheck(({ dataset, addIssue }) => {
            const input = dataset.value as Record<string, unknown>;
            for (const key of Object.keys(input)) {
                if (!names.includes(key)) {
                    addIssue({
                        message: unknownOption(key, names),
                        path: [{ type: 'object', origin: 'key', input, key, value: input[key] }]
                    });
                }
            }
        })
    ) as unknown as v.GenericSchema<Input<E>, Output<E>>;
}

/** A TOML table whose keys are the operator's own: addresses, providers, actions. */
export function tableOf<
    const K extends v.BaseSchema<string, string, v.BaseIssue<unknown>>,
    const V extends v.BaseSchema<unknown, unknown, v.BaseIssue<unknown>>
>(key: K, value: V) {
    return v.pipe(v.custom<Record<string, v.InferInput<V>>>(isTable, A_TABLE), v.record(key, value));
}

/** Configuration may come from a JavaScript file in another realm, so neither instanceof nor the prototype can tell. */
export function isTable(value: unknown): value is Record<string, unknown> {
    return Object.prototype.toString.call(value) === '[object Object]';
}

function unknownOption(key: string, names: string[]): string {
    const meant = nearest(key, names);
    return meant === undefined ? `unknown option, the options are ${names.join(', ')}` : `unknown option, did you mean "${meant}"?`;
}

/** What a required option wants is known to the option's own schema: ask it. */
function whatIsMissing(entries: v.ObjectEntries, issue: { expected: string | null }): string {
    const entry = Object.entries(entries).find(([name]) => JSON.stringify(name) === issue.expected)?.[1];
    const asked = entry && v.safeParse(entry, undefined);
    return asked?.issues?.[0].message ?? A_TABLE;
}
