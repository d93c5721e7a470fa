/** What an answer of rspamd comes to, and what does not pass for one. */
import { describe, expect, it } from 'vitest';
import { actionsFor, decide, readAnswer } from '../../lib/scan/verdict';
import type { RspamdSettings, ScanAction } from '../../lib/settings/rspamd';

const ACTIONS: Record<string, ScanAction> = { reject: 'reject', 'soft reject': 'tempfail', greylist: 'accept', 'add header': 'zone:suspect', 'rewrite subject': 'accept', 'no action': 'accept' };
const verdictOf = (json: object) => decide(readAnswer({ score: 1, ...json }), ACTIONS as Parameters<typeof decide>[1]);

describe('replies', () => {
    it.each([
        ['a virus is named', { action: 'reject', symbols: { CLAM_VIRUS: { options: ['Eicar-Test'] } } }, '550 5.7.1 Virus found: Eicar-Test'],
        ['spam is called spam', { action: 'reject' }, '550 5.7.1 Message refused as spam'],
        ["rspamd's own words are used", { action: 'reject', messages: { smtp_message: 'Gtube pattern' } }, '550 5.7.1 Message refused: Gtube pattern'],
        ['a code of its own is dropped', { action: 'soft reject', messages: { smtp_message: '451 4.7.1 Ratelimit exceeded' } }, '451 4.7.1 Ratelimit exceeded'],
        ['lines are flattened', { action: 'reject', messages: { smtp_message: 'a\r\n250 ok' } }, '550 5.7.1 Message refused: a 250 ok']
    ])('%s', (_name, json, reply) => {
        expect(verdictOf(json).reply).toBe(reply);
    });
});

it('labelled spam goes where the settings say', () => {
    expect(verdictOf({ action: 'add header' }).action).toBe('zone:suspect');
});

describe('overrides', () => {
    const overrides: RspamdSettings['overrides'] = [
        { interface: 'newsletters', sender: '@example.com', actions: { reject: 'tempfail' } },
        { interface: 'newsletters', actions: { reject: 'tag' } },
        { sender: 'kim@example.com', actions: { reject: 'zone:suspect' } }
    ];
    it.each([
        ['the first that fits counts', 'newsletters', 'kim@example.com', 'tempfail'],
        ['an interface is enough where no sender is named', 'newsletters', 'kim@other.example', 'tag'],
        ['a sender is found in any case', 'feeder', 'Kim@Example.com', 'zone:suspect'],
        ['a domain does not stand for one that ends like it', 'newsletters', 'kim@not.example.com', 'tag'],
        ['all others have the actions for all', 'feeder', 'pat@example.com', 'reject']
    ])('%s', (_name, by, sender, reject) => {
        const actions = ACTIONS as RspamdSettings['actions'];
        expect(actionsFor({ actions, overrides }, { interface: by, sender })).toEqual({ ...actions, reject });
    });
});

describe('no answer of rspamd, so a failure of the server', () => {
    it.each([
        ['an action of the future', { action: 'quarantine', score: 1 }],
        ['no action', { score: 1 }],
        ['no score', { action: 'no action' }],
        ['an error', { error: 'cannot parse' }],
        ['a list', []],
        ['null', null],
        ['symbols that are none', { action: 'no action', score: 1, symbols: { X: 'y' } }]
    ])('%s', (_name, json) => {
        expect(() => readAnswer(json)).toThrow('not an answer of rspamd');
    });
});

it('headers come with their order, signatures on top', () => {
    const { headers } = readAnswer({
        action: 'no action',
        score: 0,
        milter: { add_headers: { 'X-A': { value: 'a', order: -1 }, 'X-B': [{ value: 'b1', order: 1 }, 'b2'] }, remove_headers: { 'X-C': 0, 'X-D': -1 } },
        'dkim-signature': ['v=1; one', 'v=1; two']
    });
    expect(headers).toEqual({
        add: [
            { name: 'X-A', value: 'a', order: -1 },
            { name: 'X-B', value: 'b1', order: 1 },
            { name: 'X-B', value: 'b2' },
            { name: 'DKIM-Signature', value: 'v=1; one', order: 0 },
            { name: 'DKIM-Signature', value: 'v=1; two', order: 0 }
        ],
        remove: [
            { name: 'X-C', nth: 0 },
            { name: 'X-D', nth: -1 }
        ]
    });
});

it('symbols for the history: those that weigh, the heaviest first, twenty at most, a virus always', () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`S${n}`, { score: n / 10 }]));
    const { symbols } = readAnswer({ action: 'no action', score: 0, symbols: many });
    expect(symbols).toHaveLength(20);
    expect(symbols[0]).toBe('S99(9.90)');
    expect(readAnswer({ action: 'reject', score: 0, symbols: { A: { score: 0.1 }, CLAM_VIRUS: { score: 0, options: ['x'] }, B: { score: -2 } } }).symbols).toEqual(['B(-2.00)', 'CLAM_VIRUS(0.00)']);
});
