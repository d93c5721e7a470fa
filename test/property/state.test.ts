/** The state on a delivery: whatever stands in the queue document, it can be read, and it stays small. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { freshState, oneLine, readState, withAttempt } from '../../lib/delivery/state';
import { MAX_ATTEMPTS, MAX_RESPONSE, REPLY_CLASSES, type Attempt, type DeliveryState } from '../../lib/delivery/types';

const RUNS = { numRuns: 800 };
const LINE_END = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

const word = fc.string({ maxLength: 60 }).map(text => oneLine(text, 60));
const number = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });

const attempt = fc.record<Attempt>({
    at: number,
    address: word,
    family: fc.constantFrom('ipv4', 'ipv6', ''),
    provider: word,
    mx: word,
    class: fc.constantFrom(...REPLY_CLASSES),
    rule: word,
    code: fc.constantFrom(0, 421, 550),
    response: fc.oneof(fc.string({ unit: 'binary', maxLength: 700 }), fc.constantFrom('x'.repeat(501), '550 no\r\nBcc: everybody')),
    ms: number
});

const state = fc
    .record({
        home: word.filter(Boolean),
        attempts: fc.array(attempt, { maxLength: 30, size: 'max' }),
        reroutes: fc.nat(20),
        pin: fc.option(fc.record({ address: word.filter(Boolean), family: fc.constantFrom('ipv4' as const, 'ipv6' as const), mx: word, tries: fc.nat(9) }), { nil: undefined }),
        relay: fc.option(fc.record({ since: number.filter(Boolean), until: number.filter(Boolean) }), { nil: undefined })
    })
    .map(({ home, attempts, reroutes, pin, relay }): DeliveryState => {
        const base: DeliveryState = { ...freshState(home), reroutes, ...(pin && { pin }), ...(relay && { phase: 'relay' as const, ...relay }) };
        return attempts.reduce(withAttempt, base);
    });

/** Something like a state, with anything in its place. */
const crooked = fc.record(
    Object.fromEntries(['v', 'home', 'phase', 'reroutes', 'pin', 'since', 'until'].map(key => [key, fc.oneof(fc.constant(1), fc.constant('relay'), fc.jsonValue())])),
    { requiredKeys: ['v'] }
);
const crookedAttempts = fc.array(fc.oneof(fc.jsonValue(), fc.dictionary(fc.constantFrom('at', 'address', 'family', 'class', 'response', 'code', 'mx'), fc.jsonValue())), { maxLength: 40, size: 'max' });

function isBounded(read: DeliveryState): void {
    expect(read.attempts.length).toBeLessThanOrEqual(MAX_ATTEMPTS);
    for (const { response, ...rest } of read.attempts) {
        expect(response.length).toBeLessThanOrEqual(MAX_RESPONSE);
        expect(JSON.stringify(rest).length).toBeLessThan(5000);
        for (const text of [response, rest.address, rest.mx, rest.provider, rest.rule]) {
            expect(text).not.toMatch(LINE_END);
        }
    }
    expect(Object.keys(read).filter(key => !['v', 'home', 'phase', 'attempts', 'reroutes', 'pin', 'since', 'until'].includes(key))).toEqual([]);
}

describe('a state in a queue document', () => {
    it('can be anything: reading it never throws, and what comes out is bounded', () => {
        fc.assert(
            fc.property(fc.oneof(fc.anything(), fc.jsonValue(), crooked), crookedAttempts, (stored, attempts) => {
                isBounded(readState(stored, 'default'));
                isBounded(readState({ v: 1, ...(stored !== null && typeof stored === 'object' ? stored : {}), attempts }, 'default'));
            }),
            RUNS
        );
    });

    it('comes back from the database as it was written', () => {
        fc.assert(
            fc.property(state, written => {
                expect(readState(JSON.parse(JSON.stringify(written)), 'elsewhere')).toEqual(written);
            }),
            RUNS
        );
    });

    it('keeps the first attempt and the last ones', () => {
        fc.assert(
            fc.property(fc.array(attempt, { minLength: 1, maxLength: 60, size: 'max' }), attempts => {
                const times = attempts.map((entry, index) => ({ ...entry, at: index + 1 }));
                const kept = times.reduce(withAttempt, freshState('default')).attempts.map(entry => entry.at);
                const all = times.map(entry => entry.at);
                expect(kept).toEqual(all.length > MAX_ATTEMPTS ? [1, ...all.slice(-(MAX_ATTEMPTS - 1))] : all);
            }),
            { numRuns: 1000 }
        );
    });
});
