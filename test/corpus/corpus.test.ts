import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { GOAL, isHeldOut, readRows, score } from './score';

const rules = loadRules([packageRulesDir()]);
const rows = readRows(join(__dirname, 'responses.dev.jsonl'));

describe('the labelled corpus', () => {
    const result = score(rows, rules);

    it('is read with the precision and recall that an operator can rely on', () => {
        expect(result.precision).toBeGreaterThanOrEqual(GOAL.precision);
        expect(result.recall).toBeGreaterThanOrEqual(GOAL.recall);
    });

    it.each(['content', 'auth', 'recipient'] as const)('never strikes an address for %s that rules were written from', label => {
        const working = score(rows.filter(row => !isHeldOut(row)), rules);
        expect(working.confusion.get(label)?.get('ip-reputation') ?? 0).toBe(0);
    });

    it('has a third that rules are not written from', () => {
        const share = rows.filter(isHeldOut).length / rows.length;
        expect(share).toBeGreaterThan(0.25);
        expect(share).toBeLessThan(0.42);
    });
});
