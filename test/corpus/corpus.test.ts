import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { costs, GOAL, readRows, score, withoutProviders } from './score';

const rules = loadRules([packageRulesDir()]);
const rows = readRows(join(__dirname, 'responses.dev.jsonl'));

/** Replies written from memory or freely, whose finer classes nobody tells apart as carefully. */
const CLASS_AT_LEAST: Readonly<Record<string, number>> = { 'responses.recalled': 0.8, 'responses.constructed-6': 0.9 };

describe.each(['responses.constructed', 'responses.constructed-2', 'responses.constructed-3', 'responses.constructed-4', 'responses.constructed-5', 'responses.constructed-6', 'responses.public', 'responses.recalled'])('%s', name => {
    const others = readRows(join(__dirname, `${name}.jsonl`));

    it('is read as well', () => {
        const result = score(others, rules);
        expect(result.misses).toEqual([]);
        expect(result.accuracy).toBeGreaterThan(CLASS_AT_LEAST[name] ?? 0.94);
    });

    it('would cost nobody a delivery', () => {
        expect(costs(others, rules)).toMatchObject({ relayed: [], rotated: [], bounced: [] });
    });
});

describe.each(readdirSync(__dirname).filter(name => name.startsWith('responses.gathered-')))('%s', name => {
    const gathered = readRows(join(__dirname, name));
    const working = gathered.filter(row => !row.heldOut);

    it('is read right where rules were written from it', () => {
        const result = score(working, rules);
        expect(result.misses).toEqual([]);
        expect(result.accuracy).toBeGreaterThan(0.8);
    });

    it('would cost nobody a delivery where rules were written from it', () => {
        expect(costs(working, rules)).toMatchObject({ relayed: [], rotated: [], bounced: [] });
    });

    it('never loses the place in a greylist, seen or not', () => {
        expect(costs(gathered, rules).rotated).toHaveLength(0);
    });

    it('names its sources', () => {
        expect(gathered.filter(row => row.source === '')).toEqual([]);
    });
});

describe('a provider without rules of its own', () => {
    it('is read by the general ones', () => {
        const result = score(rows.filter(row => row.provider !== null), withoutProviders(rules));
        expect(result.precision).toBeGreaterThanOrEqual(0.95);
        expect(result.recall).toBeGreaterThanOrEqual(0.75);
    });
});

describe('the labelled corpus', () => {
    const result = score(rows, rules);

    it('is read with the precision and recall that an operator can rely on', () => {
        expect(result.precision).toBeGreaterThanOrEqual(GOAL.precision);
        expect(result.recall).toBeGreaterThanOrEqual(GOAL.recall);
    });

    it('would cost nobody a delivery', () => {
        expect(costs(rows, rules)).toMatchObject({ relayed: [], rotated: [], bounced: [] });
    });

    it.each(['content', 'auth', 'recipient'] as const)('never strikes an address for %s that rules were written from', label => {
        const working = score(rows.filter(row => !row.heldOut), rules);
        expect(working.confusion.get(label)?.get('ip-reputation') ?? 0).toBe(0);
    });

    it('has a third that rules are not written from', () => {
        const share = rows.filter(row => row.heldOut).length / rows.length;
        expect(share).toBeGreaterThan(0.25);
        expect(share).toBeLessThan(0.42);
    });
});
