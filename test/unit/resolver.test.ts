/** How long the MX records of a domain hold: our own question, and what a name server, or somebody who plays one, may say to it. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { encode, decode, TRUNCATED_RESPONSE, type Answer, type DecodedPacket, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askForMx } from '../../lib/providers/resolver';

const WITHIN = 10_000;
const NXDOMAIN = 3;
const SERVFAIL = 2;

const mx = (exchange: string, preference: number, ttl: number, name = 'example.org'): Answer => ({ type: 'MX', name, ttl, data: { exchange, preference } });
const soa = (ttl: number, minimum: number): Answer => ({ type: 'SOA', name: 'org', ttl, data: { mname: 'a.example', rname: 'b.example', minimum } });

let server: Socket;
let port: number;
let questions: DecodedPacket[];
let answers: (question: DecodedPacket) => Buffer[];

beforeEach(async () => {
    questions = [];
    server = createSocket('udp4');
    server.on('message', (message, { port, address }) => {
        const question = decode(message);
        questions.push(question);
        for (const answer of answers(question)) {
            server.send(answer, port, address);
        }
    });
    server.bind(0, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address());
});
afterEach(() => server.close());

const ask = (within = WITHIN, domain = 'example.org') => askForMx(domain, `127.0.0.1:${port}`, within);

function answer({ id, questions = [] }: DecodedPacket, packet: Packet): Buffer {
    return encode({ type: 'response', id: id ?? 0, questions, ...packet });
}

/** All that is said to the next question. */
function say(...packets: Packet[]): void {
    answers = question => packets.map(packet => answer(question, packet));
}

describe('MX records with their TTL', () => {
    it('are asked for with recursion, and room for a long answer', async () => {
        say({ answers: [mx('mx.hoster.example', 10, 1200)] });
        expect(await ask()).toEqual({ records: [{ exchange: 'mx.hoster.example', priority: 10 }], ttl: 1200 });
        expect(questions).toMatchObject([{ type: 'query', flag_rd: true, questions: [{ type: 'MX', name: 'example.org' }], additionals: [{ type: 'OPT', udpPayloadSize: 1232 }] }]);
    });

    it('hold as long as the shortest of them', async () => {
        say({ answers: [mx('mx1.hoster.example', 10, 1200), mx('mx2.hoster.example', 20, 60)] });
        expect(await ask()).toMatchObject({ ttl: 60 });
    });

    it('hold as long as the alias that leads to them', async () => {
        say({ answers: [{ type: 'CNAME', name: 'example.org', ttl: 45, data: 'hoster.example' }, mx('mx.hoster.example', 10, 1200, 'hoster.example')] });
        expect(await ask()).toMatchObject({ records: [{ exchange: 'mx.hoster.example' }], ttl: 45 });
    });

    it('of a null MX are told like others', async () => {
        say({ answers: [mx('.', 0, 1200)] });
        expect(await ask()).toEqual({ records: [{ exchange: '.', priority: 0 }], ttl: 1200 });
    });

    it.each([
        ['its own TTL, where that is shorter', [soa(90, 3600)], 90],
        ['its last field, where that is shorter', [soa(3600, 90)], 90],
        ['not at all without it', [], 0]
    ])('that do not exist: as long as the SOA record says, %s', async (_name, authorities, ttl) => {
        say({ authorities });
        expect(await ask()).toEqual({ records: [], ttl });
        say({ flags: NXDOMAIN, authorities });
        expect(await ask()).toEqual({ records: [], ttl });
    });

    it.each([
        ['was cut off', { flags: TRUNCATED_RESPONSE, answers: [mx('mx1.hoster.example', 10, 1200)] }],
        ['is a failure', { flags: SERVFAIL }]
    ])('are not told when the answer %s', async (_name, packet) => {
        say(packet);
        expect(await ask()).toBeUndefined();
    });

    it('are not told by a server that is silent', async () => {
        say();
        expect(await ask(50)).toBeUndefined();
        expect(questions).toHaveLength(1);
    });

    it('are not told where no server is, which is known at once', async () => {
        const gone = `127.0.0.1:${port}`;
        server.close();
        expect(await askForMx('example.org', gone, 3_600_000)).toBeUndefined();
        server = createSocket('udp4');
    });

    it.each(['nonsense', '[::1]:1', '256.0.0.1', 'fe80::1'])('are not told by "%s"', async nowhere => {
        expect(await askForMx('example.org', nowhere, 50)).toBeUndefined();
    });

    it('come from a server with an IPv6 address', async context => {
        const six = createSocket('udp6');
        const isThere = await new Promise<boolean>(resolve => six.once('error', () => resolve(false)).bind(0, '::1', () => resolve(true)));
        context.skip(!isThere, 'no IPv6 here');
        six.on('message', (message, { port, address }) => six.send(answer(decode(message), { answers: [mx('mx.hoster.example', 10, 77)] }), port, address));
        expect(await askForMx('example.org', `[::1]:${six.address().port}`, WITHIN)).toMatchObject({ ttl: 77 });
        six.close();
    });

    describe('are not taken from', () => {
        const TRUE = { answers: [mx('mx.hoster.example', 10, 1200)] };
        const forged = { answers: [mx('mx.evil.example', 10, 9999)] };

        it.each<[string, (question: DecodedPacket) => Buffer]>([
            ['an answer with another id', question => answer(question, { ...forged, id: ((question.id ?? 0) + 1) % 0x10000 })],
            ['an answer to another question', question => answer(question, { ...forged, questions: [{ type: 'MX', name: 'evil.example' }] })],
            ['an answer for another type', question => answer(question, { ...forged, questions: [{ type: 'A', name: 'example.org' }] })],
            ['an answer without its question', question => answer(question, { ...forged, questions: [] })],
            ['a question', question => answer(question, { ...forged, type: 'query' })],
            ['noise', () => Buffer.from('220 mx.example ESMTP')],
            ['an empty datagram', () => Buffer.alloc(0)],
            ['an answer that breaks off', question => answer(question, forged).subarray(0, -5)],
            ['an answer that promises 65,535 records', question => answer(question, forged).fill(0xff, 6, 8)],
            ['an answer that is larger than was asked for', question => Buffer.concat([answer(question, forged), Buffer.alloc(2000)])]
        ])('%s: what comes next counts', async (_name, forge) => {
            answers = question => [forge(question), answer(question, TRUE)];
            expect(await ask()).toEqual({ records: [{ exchange: 'mx.hoster.example', priority: 10 }], ttl: 1200 });
        });

        it('another address than that of the server', async () => {
            const stranger = createSocket('udp4');
            server.removeAllListeners('message');
            server.on('message', (message, { port, address }) => {
                const question = decode(message);
                stranger.send(answer(question, forged), port, address, () => server.send(answer(question, TRUE), port, address));
            });
            expect(await ask()).toMatchObject({ ttl: 1200 });
            stranger.close();
        });
    });

    it('are asked for from another port, with another id, each time', async () => {
        say({ answers: [mx('mx.hoster.example', 10, 1200)] });
        const ports = new Set<number>();
        server.on('message', (_message, { port }) => ports.add(port));
        for (let n = 0; n < 20; n++) {
            await ask();
        }
        expect(ports.size).toBeGreaterThan(10);
        expect(new Set(questions.map(({ id }) => id)).size).toBeGreaterThan(10);
    });

    it('whatever the name and the answer are, nothing is thrown', async () => {
        await fc.assert(
            fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), fc.uint8Array({ maxLength: 1300 }), async (domain, noise) => {
                server.removeAllListeners('message');
                server.on('message', (message, { port, address }) => server.send(Buffer.concat([message.subarray(0, 2), Buffer.from([0x80, 0]), noise]), port, address));
                await askForMx(domain, `127.0.0.1:${port}`, 5);
            }),
            { numRuns: 100 }
        );
    });
});
