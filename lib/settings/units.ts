import * as v from 'valibot';

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const SIZE_UNITS = {
    B: 1,
    KB: 1e3,
    MB: 1e6,
    GB: 1e9,
    KiB: 1024,
    MiB: 1024 ** 2,
    GiB: 1024 ** 3
} as const;

const A_DURATION = 'a duration like "90s" or "24h"';
const A_SIZE = 'a size like "50MiB" or "512KB"';

/**
 * A duration as operators write it: a whole number and one of ms, s, m, h, d. Comes out as milliseconds.
 * A bare number is refused: nobody can tell whether 90 means seconds or milliseconds.
 *
 * @param min smallest duration allowed, in the same notation
 * @param max largest duration allowed
 */
export function duration(min: string, max: string) {
    return quantity(DURATION_UNITS, A_DURATION, `a duration from "${min}" to "${max}"`, min, max);
}

/**
 * A size as operators write it: a whole number and one of B, KB, MB, GB (thousands), KiB, MiB, GiB (1024). Comes out as bytes.
 *
 * @param min smallest size allowed, in the same notation
 * @param max largest size allowed
 */
export function size(min: string, max: string) {
    return quantity(SIZE_UNITS, A_SIZE, `a size from "${min}" to "${max}"`, min, max);
}

/** The two messages are apart so that a wrong unit is not answered with a lecture on limits. */
function quantity(units: Readonly<Record<string, number>>, form: string, bounds: string, min: string, max: string) {
    const least = amount(min, units) ?? 0;
    const most = amount(max, units) ?? Infinity;
    return v.pipe(
        v.string(form),
        v.rawTransform(({ dataset, addIssue, NEVER }) => {
            const parsed = amount(dataset.value, units);
            if (parsed === undefined) {
                addIssue({ message: form });
                return NEVER;
            }
            if (parsed < least || parsed > most) {
                addIssue({ message: bounds });
                return NEVER;
            }
            return parsed;
        })
    );
}

function amount(text: string, units: Readonly<Record<string, number>>): number | undefined {
    const [, digits, unit = ''] = /^(\d{1,9})([a-zA-Z]+)$/.exec(text) ?? [];
    const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
    return factor === undefined ? undefined : Number(digits) * factor;
}
