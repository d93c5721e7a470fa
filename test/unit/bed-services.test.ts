import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient } from 'mongodb';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startClamd } from '../bed/services/clamd';
import { claimLoopback, type Loopback } from '../bed/services/loopback';
import { startMongo } from '../bed/services/mongo';
import { startPostfix } from '../bed/services/postfix';
import { ask, startChild, tailOf, untilReady } from '../bed/services/process';
import { startRedis } from '../bed/services/redis';
import { startRspamd } from '../bed/services/rspamd';

let dir: string;
let loopback: Loopback;

beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'bed-services-'));
    loopback = await claimLoopback();
});

afterAll(async () => {
    await loopback.release();
    rmSync(dir, { recursive: true, force: true });
});

describe('children', () => {
    test('one that ends before it answers is reported with its log', async () => {
        const child = startChild({ name: 'quitter', command: 'sh', args: ['-c', 'echo no licence; exit 3'], logFile: join(dir, 'quitter.log') });
        await expect(untilReady(child, () => Promise.reject(new Error('not yet')))).rejects.toThrow(/quitter ended with code 3[^]*no licence/);
    });

    test('one that never answers is killed at the deadline', async () => {
        const child = startChild({ name: 'mute', command: 'sh', args: ['-c', 'sleep 60; exit 0'], logFile: join(dir, 'mute.log') });
        await expect(untilReady(child, () => Promise.reject(new Error('silence')), 200)).rejects.toThrow(/mute did not answer within 200 ms: silence/);
        expect(await child.exited).toEqual({ code: null, signal: 'SIGKILL' });
    });

    test('a program that does not exist is a failure, not a wait', async () => {
        const child = startChild({ name: 'nobody', command: '/no/such/program', args: [], logFile: join(dir, 'nobody.log') });
        await expect(untilReady(child, () => Promise.reject(new Error('not yet')))).rejects.toThrow(/nobody ended with code 127/);
    });

    test('stop takes the whole group, also when it was frozen', async () => {
        const child = startChild({ name: 'family', command: 'sh', args: ['-c', 'sleep 60 & echo child $!; wait'], logFile: join(dir, 'family.log') });
        await expect.poll(() => tailOf(child.logFile)).toMatch(/child \d+/);
        child.kill('SIGSTOP');
        await child.stop();
        const grandchild = Number(/child (\d+)/.exec(tailOf(child.logFile))?.[1]);
        const state = existsSync(`/proc/${grandchild}/stat`) ? readFileSync(`/proc/${grandchild}/stat`, 'utf8').split(' ')[2] : 'gone';
        // A zombie is gone as well: it waits for init to notice.
        expect(['gone', 'Z']).toContain(state);
    });
});

test('two worlds never share a loopback network', async () => {
    const other = await claimLoopback();
    expect(other.k).not.toBe(loopback.k);
    await expect(claimLoopback({ first: other.k, last: other.k })).rejects.toThrow(/in use/);
    await other.release();
    const again = await claimLoopback({ first: other.k, last: other.k });
    await again.release();
});

test('Redis answers, and comes back empty after a kill', async () => {
    const options = { host: loopback.host, dir };
    const redis = await startRedis(options);
    const set = '*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n';
    expect(await ask(redis.host, redis.port, set, reply => reply.includes('\r\n'))).toBe('+OK\r\n');
    redis.kill('SIGKILL');
    await redis.stop();
    const again = await startRedis(options);
    expect(await ask(redis.host, redis.port, 'GET a\r\n', reply => reply.includes('\r\n'))).toBe('$-1\r\n');
    await again.stop();
});

test('MongoDB keeps what was written over a kill', async () => {
    const options = { host: loopback.host, dir };
    const mongo = await startMongo(options);
    let client = await MongoClient.connect(mongo.url);
    await client.db().collection('queue').insertOne({ id: 'a', n: 1, state: { phase: 'pool' } });
    const before = await client.db().collection('queue').findOneAndUpdate({ id: 'a' }, { $set: { 'state.phase': 'relay' }, $inc: { n: 1 } });
    expect(before.value).toMatchObject({ n: 1, state: { phase: 'pool' } });
    await client.close();

    if (mongo.kind !== 'MONGO_URL') mongo.kill('SIGKILL');
    const again = mongo.kind === 'MONGO_URL' ? mongo : (await mongo.stop(), await startMongo(options));
    client = await MongoClient.connect(again.url);
    expect(await client.db().collection('queue').findOne({ id: 'a' })).toMatchObject({ n: 2, state: { phase: 'relay' } });
    await client.close();
    await again.stop();
});

describe('rspamd', () => {
    const gtube = 'JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X';
    const eicar = 'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*';
    const plain = 'Shall we meet at noon?';

    async function scan(url: string, body: string, header = ''): Promise<{ action: string; symbols: object; messages: object }> {
        const message = `From: <alice@sender.example>\r\nTo: <bob@example.org>\r\nSubject: noon\r\n${header}\r\n${body}\r\n`;
        const headers = { From: 'alice@sender.example', Rcpt: 'bob@example.org', IP: '127.0.0.1', Helo: 'mail.sender.example' };
        const response = await fetch(`${url}/checkv2`, { method: 'POST', headers, body: message });
        return (await response.json()) as { action: string; symbols: object; messages: object };
    }

    const attached = [
        'MIME-Version: 1.0',
        'Content-Type: application/octet-stream; name="invoice.com"',
        'Content-Disposition: attachment; filename="invoice.com"',
        'Content-Transfer-Encoding: base64',
        ''
    ].join('\r\n');

    test('two instances at once answer each mail with the verdict that it asks for', async () => {
        const world = { host: loopback.host, dir };
        const redis = await startRedis(world);
        const clamd = await startClamd(world);
        const at = { ...world, redis: `${redis.host}:${redis.port}`, clamd: `${clamd.host}:${clamd.port}` };
        const group = await Promise.all([startRspamd(at), startRspamd({ ...at, port: 11334 })]);
        for (const { url } of group) {
            expect(await scan(url, plain)).toMatchObject({ action: 'no action' });
            expect(await scan(url, `X${gtube}`)).toMatchObject({ action: 'reject', symbols: { GTUBE: {} } });
            expect(await scan(url, `Y${gtube}`)).toMatchObject({ action: 'add header' });
            expect(await scan(url, `Z${gtube}`)).toMatchObject({ action: 'rewrite subject' });
            expect(await scan(url, eicar)).toMatchObject({ action: 'reject', symbols: { CLAM_VIRUS: {} } });
            const encoded = Buffer.from(eicar).toString('base64');
            expect(await scan(url, encoded, attached)).toMatchObject({ action: 'reject', symbols: { CLAM_VIRUS: {} } });
            const soft = await scan(url, plain, 'X-Bed-Soft-Reject: Come back later\r\n');
            expect(soft).toMatchObject({ action: 'soft reject', messages: { smtp_message: 'Come back later' } });
        }
        await Promise.all([...group, clamd, redis].map(service => service.stop()));
    });
});

describe('Postfix', () => {
    interface Received {
        from: string;
        to: readonly string[];
        text: string;
    }

    /** An SMTP server that hands each mail to `onMail`; what that throws is the reply. */
    async function listen(port: number, onMail: (mail: Received) => void): Promise<() => Promise<void>> {
        const server = new SMTPServer({
            authOptional: true,
            disableReverseLookup: true,
            disabledCommands: ['STARTTLS', 'AUTH'],
            onData(stream, session, done) {
                const chunks: Buffer[] = [];
                stream.on('data', (chunk: Buffer) => chunks.push(chunk));
                stream.on('end', () => {
                    const { mailFrom, rcptTo } = session.envelope;
                    try {
                        onMail({ from: mailFrom ? mailFrom.address : '', to: rcptTo.map(rcpt => rcpt.address), text: Buffer.concat(chunks).toString() });
                        done();
                    } catch (error) {
                        done(error as Error);
                    }
                });
            }
        });
        server.listen(port, loopback.host);
        await once(server.server, 'listening');
        return () => new Promise(resolve => server.close(resolve));
    }

    test('hands mail to the relay, and bounces to the author what the relay refuses at the end of DATA', async () => {
        let bounced: (mail: Received) => void = () => undefined;
        let relayed: (mail: Received) => void = () => undefined;
        const bounce = new Promise<Received>(resolve => (bounced = resolve));
        const relay = new Promise<Received>(resolve => (relayed = resolve));
        const closeSink = await listen(2527, mail => bounced(mail));
        const closeRelay = await listen(2525, mail => {
            if (mail.text.includes('spam')) throw Object.assign(new Error('5.7.1 This mail looks like spam'), { responseCode: 550 });
            relayed(mail);
        });

        const postfix = await startPostfix({
            host: loopback.host,
            dir,
            relayhost: `[${loopback.host}]:2525`,
            senderDomain: 'sender.example',
            sink: { host: loopback.host, port: 2527 }
        });
        const transport = createTransport({ host: postfix.host, port: postfix.port, ignoreTLS: true });
        await transport.sendMail({ from: 'alice@sender.example', to: 'bob@example.org', subject: 'noon', text: 'Shall we meet at noon?' });
        expect(await relay).toMatchObject({ from: 'alice@sender.example', to: ['bob@example.org'] });
        expect((await relay).text).toContain('Shall we meet at noon?');

        await transport.sendMail({ from: 'alice@sender.example', to: 'bob@example.org', subject: 'win', text: 'This is spam' });
        expect(await bounce).toMatchObject({ from: '', to: ['alice@sender.example'] });
        expect((await bounce).text).toMatch(/Diagnostic-Code: smtp; 550 5\.7\.1 This mail looks like spam/);

        // With the relay away the mail waits, and a restart keeps it.
        await closeRelay();
        await transport.sendMail({ from: 'alice@sender.example', to: 'bob@example.org', subject: 'noon', text: 'Still on?' });
        await expect.poll(() => postfix.queue(), { timeout: 10_000 }).toMatchObject([{ queue_name: 'deferred', recipients: [{ address: 'bob@example.org' }] }]);
        postfix.kill('SIGKILL');
        await postfix.stop();

        let late: (mail: Received) => void = () => undefined;
        const kept = new Promise<Received>(resolve => (late = resolve));
        const closeAgain = await listen(2525, mail => late(mail));
        const again = await startPostfix({
            host: loopback.host,
            dir,
            relayhost: `[${loopback.host}]:2525`,
            senderDomain: 'sender.example',
            sink: { host: loopback.host, port: 2527 }
        });
        expect((await kept).text).toContain('Still on?');
        await expect.poll(() => again.queue(), { timeout: 10_000 }).toEqual([]);
        await again.stop();
        await Promise.all([closeAgain(), closeSink()]);
    });
});
