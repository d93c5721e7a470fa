/** What rspamd's answer means: answers as rspamd 3 gives them at /checkv2, and answers that it never gives. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpret } from '../../lib/scan/verdict';
import type { ScanAction } from '../../lib/settings/rspamd';

const ACTIONS: Record<string, ScanAction> = { reject: 'reject', 'soft reject': 'tempfail', greylist: 'accept', 'add header': 'tag', 'rewrite subject': 'accept', 'no action': 'accept' };

const HAM = {
    is_skipped: false,
    score: -0.2,
    required_score: 15,
    action: 'no action',
    thresholds: { reject: 15, 'add header': 6, greylist: 4 },
    symbols: { R_DKIM_ALLOW: { name: 'R_DKIM_ALLOW', score: -0.2, metric_score: -0.2, description: 'DKIM verification succeed', options: ['ours.example:s=mail'] }, ARC_NA: { name: 'ARC_NA', score: 0, metric_score: 0 } },
    messages: {},
    'message-id': '1@ours.example',
    time_real: 0.034,
    milter: { remove_headers: { 'X-Spam': 0 } }
};
const GTUBE = { is_skipped: false, score: 15, required_score: 15, action: 'reject', symbols: { GTUBE: { name: 'GTUBE', score: 15 } }, messages: { smtp_message: 'Gtube pattern' }, 'message-id': 'undef' };
const VIRUS = { ...GTUBE, symbols: { CLAM_VIRUS: { name: 'CLAM_VIRUS', score: 0, options: ['Eicar-Test-Signature'] } }, messages: { smtp_message: 'clamav: virus found: "Eicar-Test-Signature"' } };
const SOFT = { ...HAM, action: 'soft reject', score: 0, messages: { smtp_message: 'Rate limit "user" exceeded' } };

describe('a message', () => {
    it('that is clean is accepted', () => {
        expect(interpret(HAM, ACTIONS)).toMatchObject({ action: 'accept', rspamdAction: 'no action', score: -0.2, headers: { add: [], remove: ['X-Spam'] } });
        expect(interpret(HAM, ACTIONS)).not.toHaveProperty('virus');
    });

    it('that is spam is refused with the reason', () => {
        expect(interpret(GTUBE, ACTIONS)).toMatchObject({ action: 'reject', score: 15, reply: '550 5.7.1 Message refused: Gtube pattern' });
    });

    it('that is spam without a reason is refused as spam', () => {
        expect(interpret({ ...GTUBE, messages: {} }, ACTIONS).reply).toBe('550 5.7.1 Message refused as spam');
    });

    it("that carries a virus is refused with the virus's name", () => {
        expect(interpret(VIRUS, ACTIONS)).toMatchObject({ action: 'reject', virus: 'Eicar-Test-Signature', reply: '550 5.7.1 Virus found: Eicar-Test-Signature' });
    });

    it('that carries a virus without a name is refused all the same', () => {
        expect(interpret({ ...VIRUS, symbols: { SOPHOS_VIRUS_ENCRYPTED: {} } }, ACTIONS).reply).toBe('550 5.7.1 Virus found: unknown');
    });

    it("that is softly refused is put off with rspamd's text", () => {
        expect(interpret(SOFT, ACTIONS)).toMatchObject({ action: 'tempfail', reply: '451 4.7.1 Rate limit "user" exceeded' });
        expect(interpret({ ...SOFT, messages: {} }, ACTIONS).reply).toBe('451 4.7.1 Try again later');
    });

    it("gets the code of our reply, whatever code stands in rspamd's text", () => {
        for (const smtp_message of ['451 4.7.1 slow down', '550 slow down', '5.7.1 slow down'.slice(6), '451-4.7.1 - slow down']) {
            expect(interpret({ ...SOFT, messages: { smtp_message } }, ACTIONS).reply).toBe('451 4.7.1 slow down');
        }
    });

    it('goes where the settings send an action', () => {
        expect(interpret({ ...HAM, action: 'add header' }, ACTIONS).action).toBe('tag');
        expect(interpret({ ...HAM, action: 'add header' }, { ...ACTIONS, 'add header': 'zone:suspect' }).action).toBe('zone:suspect');
    });

    it('is refused when the settings do not know the action', () => {
        expect(interpret({ ...HAM, action: 'greylist' }, {}).action).toBe('reject');
    });
});

describe('the headers of the milter', () => {
    it('are taken with their places, one or several of a name', () => {
        const milter = {
            add_headers: { 'X-Spamd-Bar': { value: '/', order: 0 }, 'X-Spam-Level': 'none', 'X-Rspamd-Action': [{ value: 'no action', order: 1 }, 'again'] },
            remove_headers: { 'X-Spam': 0, 'X-Spamd-Bar': 1 }
        };
        expect(interpret({ ...HAM, milter }, ACTIONS).headers).toEqual({
            add: [
                { name: 'X-Spamd-Bar', value: '/', order: 0 },
                { name: 'X-Spam-Level', value: 'none' },
                { name: 'X-Rspamd-Action', value: 'no action', order: 1 },
                { name: 'X-Rspamd-Action', value: 'again' }
            ],
            remove: ['X-Spam', 'X-Spamd-Bar']
        });
    });

    it('are bounded', () => {
        const many = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [`X-${n}`, '1']));
        const { add, remove } = interpret({ ...HAM, milter: { add_headers: many, remove_headers: many } }, ACTIONS).headers;
        expect([add.length, remove.length]).toEqual([50, 50]);
    });
});

describe('an answer that rspamd does not give', () => {
    it.each([
        ['nothing', undefined],
        ['null', null],
        ['a list', []],
        ['an empty object', {}],
        ['an error', { error: 'invalid command' }],
        ['an unknown action', { ...HAM, action: 'accept everything' }],
        ['no action', { score: 1 }],
        ['no score', { action: 'no action' }],
        ['a score that is a text', { ...HAM, score: '1' }],
        ['symbols that are none', { ...HAM, symbols: ['GTUBE'] }],
        ['headers that are none', { ...HAM, milter: { add_headers: { 'X-A': 5 } } }],
        ['an action in capitals', { ...HAM, action: 'NO ACTION' }]
    ])('is a failure of the server, never "clean": %s', (_name, answer) => {
        expect(() => interpret(answer, ACTIONS)).toThrow(/^not an answer of rspamd: /);
    });

    it('whatever it is, the reply is one line with a code, or there is none', () => {
        const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 400 }), fc.constantFrom('no\r\n250 OK', '550 5.7.1'));
        fc.assert(
            fc.property(fc.constantFrom('reject', 'soft reject', 'no action', 'discard'), text, text, (action, smtp_message, virus) => {
                try {
                    const verdict = interpret({ action, score: 1, messages: { smtp_message }, symbols: { CLAM_VIRUS: { options: [virus] } } }, ACTIONS);
                    expect(verdict.reply).toMatch(/^(451 4|550 5)\.7\.1 [^\r\n]{1,250}$/);
                } catch (err) {
                    expect((err as Error).message).toMatch(/^not an answer of rspamd: action/);
                }
            }),
            { numRuns: 2000 }
        );
    });
});
