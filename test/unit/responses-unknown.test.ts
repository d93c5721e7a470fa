import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadRules, packageRulesDir } from '../../lib/responses/load';
import { classify } from '../../lib/responses/match';
import { candidates, templateOf, type Sighting } from '../../lib/responses/unknown';

const folder = mkdtempSync(join(tmpdir(), 'unknown-rules-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function sighting(n: number, changes: Partial<Sighting> = {}): Sighting {
    return { provider: 'example.net', code: 550, response: `550 Zugang verwehrt, Vorgang ZX${1000 + n}, siehe https://example.net/h/${n}`, address: `192.0.2.${n}`, at: n, ...changes };
}

describe('replies that no rule knows', () => {
    it('are counted by their text, whatever ids, links, names and numbers are in them', () => {
        expect(templateOf(550, '550 5.7.0 Refused: queue 4f9a8b7c12 at mx3.example.net for a@example.com, see https://x.example/1')).toBe(
            templateOf(550, '550-5.7.0 Refused: queue 77aa01ffe9 at mx9.example.org\n550 5.7.0 for b@example.org, see https://x.example/2')
        );
    });

    it('look like reputation when other addresses delivered what they had refused, and bring a rule to paste', () => {
        const seen = [1, 2, 3].map(n => sighting(n, { deliveredFrom: '198.51.100.9' }));
        const [first] = candidates(seen, new Map([['example.net', new Set(['198.51.100.9', '192.0.2.1'])]]));
        expect(first).toMatchObject({ count: 3, addresses: 3, otherAddressesDelivered: 1, rescuedElsewhere: 3, rescuedSame: 0, first: 1, last: 3, looksLike: 'reputation' });
        writeFileSync(join(folder, 'own.toml'), first?.rule ?? '');
        const rules = loadRules([folder, packageRulesDir()]);
        for (const { response, code, provider } of seen) {
            expect(classify(rules, { code, text: response, stage: 'rcpt' }, provider)).toMatchObject({ class: 'ip-reputation', rule: expect.stringMatching(/^own-/) as string });
        }
    });

    it('do not when the same address delivered later, nor on one case alone', () => {
        const same = [1, 2].map(n => sighting(n, { deliveredFrom: `192.0.2.${n}` }));
        expect(candidates(same, new Map())[0]).toMatchObject({ looksLike: 'not the address' });
        expect(candidates([sighting(1, { deliveredFrom: '198.51.100.9' })], new Map())[0]).toMatchObject({ looksLike: 'unclear' });
        expect(candidates([sighting(1)], new Map())[0]).not.toHaveProperty('rule');
    });
});
