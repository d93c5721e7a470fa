/** The state on a delivery, in the cases that an operator may find in his queue. */
import { describe, expect, it } from 'vitest';
import { freshState, oneLine, readState, withAttempt } from '../../lib/delivery/state';
import type { Attempt } from '../../lib/delivery/types';

const ATTEMPT: Attempt = { at: 1, address: '192.0.2.1', family: 'ipv4', provider: 'example', mx: 'mx.example', class: 'greylist', rule: 'a-rule', code: 450, response: '450 later', ms: 5 };

describe('a delivery', () => {
    it('without a state starts in the pool of the zone it is in', () => {
        for (const stored of [undefined, null, '', 0, [], {}, { v: 2, home: 'other', phase: 'relay' }]) {
            expect(readState(stored, 'default')).toEqual({ v: 1, home: 'default', phase: 'pool', attempts: [], reroutes: 0 });
        }
    });

    it('that was edited by hand goes on with what can be read', () => {
        const stored = { v: 1, home: 'default', phase: 'realy', reroutes: 'two', pin: { address: '192.0.2.1' }, attempts: [ATTEMPT, 'x', null, { class: 'no-such-class' }] };
        const read = readState(stored, 'elsewhere');
        expect(read).toMatchObject({ home: 'default', phase: 'pool', reroutes: 0 });
        expect(read.pin).toBeUndefined();
        expect(read.attempts).toEqual([ATTEMPT, { at: 0, address: '', family: '', provider: '', mx: '', class: 'other', rule: '', code: 0, response: '', ms: 0 }]);
    });

    it('in the pool has no relay time', () => {
        expect(readState({ ...freshState('default'), since: 1, until: 2 }, 'default')).not.toHaveProperty('until');
    });

    it('does not change when an attempt is added to its state', () => {
        const before = freshState('default');
        withAttempt(before, ATTEMPT);
        expect(before.attempts).toEqual([]);
    });
});

describe('a reply from outside', () => {
    it('is one line, without control characters', () => {
        expect(oneLine(' 550-no\r\n550 \u0000\u2028 never\u0085 ', 100)).toBe('550-no 550 never');
    });

    it('is cut with a mark', () => {
        expect(withAttempt(freshState('default'), { ...ATTEMPT, response: 'x'.repeat(600) }).attempts[0]?.response).toBe(`${'x'.repeat(499)}…`);
        expect(oneLine('x'.repeat(500), 500)).toHaveLength(500);
    });
});
