/** `npm run demo`: the whole way of some hundred messages, counted from outside. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { destinations, relayRefuses } from './demo/plan';
import { play } from './demo/play';
import { isGood, report } from './demo/report';
import { startWorld, type World } from './world';
import { API_PORT, RELEASES, type Release } from './zonemta';

const USAGE = `usage: npm run demo -- [--messages N] [--json FILE] [--zonemta ${RELEASES.join('|')}] [--seed N] [--keep]`;

interface Options {
    messages: number;
    json: string | undefined;
    release: Release;
    seed: number;
    keep: boolean;
}

async function main(): Promise<number> {
    const options = readOptions();
    if (!options) {
        console.error(USAGE);
        return 2;
    }
    let world: World | undefined;
    const interrupted = new Promise<never>((_, reject) => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
            // stays registered: without a listener the signal would end us before everything is put away
            process.on(signal, () => reject(new Error(`ended by ${signal}`)));
        }
    });
    try {
        const starting = startWorld({
            release: options.release,
            destinations: pool => destinations(pool, options.seed),
            relayRefuses,
            rspamds: 2,
            postfix: true,
            keep: options.keep,
            say: line => console.log(line)
        });
        // an interrupt while things are starting must stop what comes after it
        world = await Promise.race([starting, interrupted]).catch(async (err: Error) => {
            await starting.then(late => late.stop(), () => undefined);
            throw err;
        });
        const run = await Promise.race([play(world, { ...options, progress: true }), interrupted]);
        console.log(report(run));
        if (options.json) {
            writeFileSync(options.json, `${JSON.stringify(run, null, 2)}\n`);
        }
        if (options.keep) {
            console.log(lookAround(world));
            await interrupted.catch(() => undefined);
        }
        return isGood(run) ? 0 : 1;
    } catch (err) {
        console.error((err as Error).message);
        return 1;
    } finally {
        await world?.stop();
    }
}

function lookAround(world: World): string {
    const api = `http://${world.host}:${API_PORT}/plugin/smart-relay`;
    return [
        '',
        `status:     curl ${api}/status`,
        `a message:  curl ${api}/messages/ID`,
        `submission: ${world.postfix?.host}:${world.postfix?.port} (Postfix), ${world.zonemta.host}:${world.zonemta.port} (ZoneMTA)`,
        `MongoDB:    ${world.mongo.url}`,
        `folder:     ${world.dir}`,
        'Ctrl-C stops it all.'
    ].join('\n');
}

function readOptions(): Options | undefined {
    try {
        const { values } = parseArgs({
            options: { messages: { type: 'string', default: '300' }, json: { type: 'string' }, zonemta: { type: 'string', default: '3.10.3' }, seed: { type: 'string', default: '1' }, keep: { type: 'boolean', default: false } }
        });
        const messages = Number(values.messages);
        const seed = Number(values.seed);
        const release = RELEASES.find(known => known === values.zonemta);
        const usable = Number.isInteger(messages) && messages >= 20 && messages <= 100_000 && Number.isInteger(seed);
        return release && usable ? { messages, json: values.json, release, seed, keep: values.keep } : undefined;
    } catch {
        return undefined;
    }
}

void main().then(code => process.exit(code));
