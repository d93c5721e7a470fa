/** A message on its way in, with ZoneMTA's own header class. */
import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { Envelope, Headers } from '@zone-eu/types';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Collector } from '../../lib/zonemta/body';
import { changeHeaders, headerValues, messageFacts, setMessageFacts } from '../../lib/zonemta/message';

// mailparser brings ZoneMTA's mailsplit with it
const here = createRequire(__filename);
const { Headers: RealHeaders } = createRequire(here.resolve('mailparser'))('@zone-eu/mailsplit') as { Headers: new (text: string) => Headers };

function headersOf(...lines: string[]): Headers {
    return new RealHeaders(lines.join('\r\n'));
}

/** The header lines as they go over the wire. */
function wire(headers: Headers): string[] {
    return headers.build('\r\n').toString('utf8').split('\r\n').slice(0, -2);
}

describe('headers from the scan', () => {
    it('stand where rspamd wants them', () => {
        const headers = headersOf('Received: by us', 'From: author@ours.example', 'Subject: hello');
        const add = [{ name: 'X-Top', value: '1', order: 0 }, { name: 'X-Second', value: '2', order: 1 }, { name: 'X-Last', value: '3', order: -1 }];
        changeHeaders(headers, { add, remove: [] });
        expect(wire(headers)).toEqual(['X-Top: 1', 'X-Second: 2', 'Received: by us', 'From: author@ours.example', 'Subject: hello', 'X-Last: 3']);
    });

    it('replace those of the sender', () => {
        const headers = headersOf('X-Spam: No', 'From: author@ours.example', 'x-spam: trust me');
        changeHeaders(headers, { add: [{ name: 'X-Spam', value: 'Yes', order: 0 }], remove: [{ name: 'X-Spam', nth: 0 }] });
        expect(wire(headers)).toEqual(['X-Spam: Yes', 'From: author@ours.example']);
    });

    it('keep their folding, which a signature may cover', () => {
        const headers = headersOf('From: author@ours.example');
        changeHeaders(headers, { add: [{ name: 'DKIM-Signature', value: 'v=1; a=rsa-sha256;\r\n\tb=abc\n def', order: 0 }], remove: [] });
        expect(wire(headers)).toEqual(['DKIM-Signature: v=1; a=rsa-sha256;', '\tb=abc', ' def', 'From: author@ours.example']);
    });

    it.each(['', 'X Spam', 'X-Spam:', 'X-Spam\r\nBcc', 'X-Späm', 'X'.repeat(200)])('with the name %j are left out', name => {
        const headers = headersOf('From: author@ours.example');
        changeHeaders(headers, { add: [{ name, value: '1' }], remove: [] });
        expect(wire(headers)).toEqual(['From: author@ours.example']);
    });

    it.each([
        ['a line end', 'no\r\nBcc: all@example.com'],
        ['a bare line feed', 'no\nBcc: all@example.com'],
        ['a bare carriage return', 'no\rBcc: all@example.com'],
        ['the end of the head', 'no\r\n\r\nbody'],
        ['many of them', 'no\r\r\n\n\rBcc: all@example.com']
    ])('cannot make a header of their own with %s', (_name, value) => {
        const headers = headersOf('From: author@ours.example');
        const given = vi.spyOn(headers, 'addFormatted');
        changeHeaders(headers, { add: [{ name: 'X-Spam', value }], remove: [] });
        // looked at before the header class is: that of 3.10.3 takes a line as it is
        expect(String(given.mock.lastCall?.[1])).not.toMatch(/\r(?!\n)|(?<!\r)\n|\n(?![ \t]+[^ \t\r\n])/);
        expect(wire(headers).map(line => line.split(':')[0])).toEqual(['From', 'X-Spam']);
    });

    it('whatever their value, there is one header more', () => {
        const value = fc.string({ unit: fc.constantFrom('a', ':', ' ', '\t', '\r', '\n', '\r\n', 'Bcc: x', 'ä', '\u2028') });
        fc.assert(
            fc.property(value, fc.integer({ min: -3, max: 5 }), (text, at) => {
                const headers = headersOf('From: author@ours.example', 'Subject: hello');
                const given = vi.spyOn(headers, 'addFormatted');
                changeHeaders(headers, { add: [{ name: 'X-Spam', value: text, order: at }], remove: [] });
                expect(String(given.mock.lastCall?.[1])).not.toMatch(/\r(?!\n)|(?<!\r)\n|\n(?![ \t]+[^ \t\r\n])/);
                const names = wire(headers).filter(line => !/^[ \t]/.test(line)).map(line => line.split(':')[0] ?? '');
                expect(names.sort()).toEqual(['From', 'Subject', 'X-Spam']);
            }),
            { numRuns: 5000 }
        );
    });

    it('are read with all their values, the topmost first', () => {
        expect(headerValues(headersOf('X-Sender: ours', 'From: a@b.example', 'x-sender: theirs'), 'X-Sender')).toEqual(['ours', 'theirs']);
        expect(headerValues(headersOf('From: a@b.example'), 'X-Sender')).toEqual([]);
    });
});

describe('the sender of a message', () => {
    it('stands on the message, and is read from the delivery', () => {
        const envelope: Envelope = {};
        setMessageFacts(envelope, { sender: 'customer-7', guess: false });
        expect(messageFacts(JSON.parse(JSON.stringify(envelope)) as Record<string, unknown>)).toEqual({ sender: 'customer-7', guess: false });
    });

    it("of a message without it is the envelope's word", () => {
        expect(messageFacts({ from: 'author@ours.example' })).toEqual({ sender: 'author@ours.example', guess: true });
        expect(messageFacts({ smartRelayMessage: { sender: 5 } })).toEqual({ sender: '', guess: true });
    });
});

describe('the body of a message', () => {
    /** Lets a body pass the collector; resolves to what came out. */
    async function pass(collector: Collector, envelope: Envelope, chunks: readonly string[], whole = true): Promise<string> {
        const source = new PassThrough();
        const destination = new PassThrough();
        collector.collect(envelope, source, destination);
        chunks.forEach(chunk => source.write(chunk));
        if (!whole) {
            await new Promise(resolve => destination.once('readable', resolve));
            source.destroy();
            return '';
        }
        source.end();
        return (await buffer(destination)).toString();
    }

    async function taken(collector: Collector, envelope: Envelope): Promise<string | undefined> {
        const body = await collector.take(envelope);
        return body === undefined || body === 'oversize' ? body : (body.read() as Buffer).toString();
    }

    it('passes unchanged, and is there to be scanned', async () => {
        const collector = new Collector(() => ({ limit: 100 }));
        const envelope: Envelope = {};
        expect(await pass(collector, envelope, ['Subject: a\r\n', '\r\n', 'hello'])).toBe('Subject: a\r\n\r\nhello');
        expect(await taken(collector, envelope)).toBe('Subject: a\r\n\r\nhello');
    });

    it('is given out once', async () => {
        const collector = new Collector(() => ({ limit: 100 }));
        const envelope: Envelope = {};
        await pass(collector, envelope, ['hello']);
        await taken(collector, envelope);
        expect(await taken(collector, envelope)).toBeUndefined();
    });

    it('over the limit passes, and is known to be too large', async () => {
        const collector = new Collector(() => ({ limit: 8 }));
        const envelope: Envelope = {};
        expect(await pass(collector, envelope, ['12345678', '9'])).toBe('123456789');
        expect(await taken(collector, envelope)).toBe('oversize');
        await pass(collector, envelope, ['12345678']);
        expect(await taken(collector, envelope)).toBe('12345678');
    });

    it('that broke off was not seen whole', async () => {
        const collector = new Collector(() => ({ limit: 100 }));
        const envelope: Envelope = {};
        await pass(collector, envelope, ['hel'], false);
        expect(await taken(collector, envelope)).toBeUndefined();
    });

    it('that came before the settings were known is not scanned as an empty one', async () => {
        const settings: { known?: { limit: number } } = {};
        const collector = new Collector(() => settings.known);
        const envelope: Envelope = {};
        await pass(collector, envelope, ['X5O!P%@AP']);
        settings.known = { limit: 1000 };
        expect(await taken(collector, envelope)).toBeUndefined();
    });

    it("of ZoneMTA's own notices passes without a copy", async () => {
        const collector = new Collector(() => ({ limit: 100 }));
        const envelope: Envelope = { interface: 'bounce' };
        expect(await pass(collector, envelope, ['a notice'])).toBe('a notice');
        expect(await taken(collector, envelope)).toBeUndefined();
    });
});
