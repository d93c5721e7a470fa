/**
 * How our plugins come into a process of ZoneMTA, and the gate: no mail leaves unscanned or from the wrong address because a
 * plugin is late, does not load, or is set up wrongly. The plugins are loaded with Node's own require, as ZoneMTA does.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { format } from 'node:util';
import ts from 'typescript';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { PluginModule } from '../../lib/process/join';

const ROOT = join(__dirname, '../..');
const KEY = 'modules/zonemta-smart-relay';
const FILES = ['index', 'rspamd', 'random-ip', 'reputation', 'relay'] as const;
type File = (typeof FILES)[number];
type Context = 'main' | 'receiver' | 'sender';

const load = createRequire(__filename);
const extensions = (Module as unknown as { _extensions: Record<string, ((module: { _compile(code: string, file: string): void }, file: string) => void) | undefined> })._extensions;
const main = Object.getOwnPropertyDescriptor(process, 'mainModule');

/** A file of ours that does not load, by the end of its path. */
let broken: string | undefined;
let folder: string;

const compiled = new Map<string, string>();

function compile(file: string): string {
    const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2023, esModuleInterop: true, ignoreDeprecations: '6.0' };
    return ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions, fileName: file }).outputText;
}

beforeAll(() => {
    extensions['.ts'] = (module, file) => {
        if (broken !== undefined && file.endsWith(broken)) {
            throw new Error(`Cannot find module 'valibot'\nRequire stack:\n- ${file}`);
        }
        const code = compiled.get(file) ?? compile(file);
        compiled.set(file, code);
        module._compile(code, file);
    };
    // ZoneMTA's place, with its configuration loaded
    folder = mkdtempSync(join(tmpdir(), 'zonemta-'));
    mkdirSync(join(folder, 'node_modules/wild-config'), { recursive: true });
    const config = { zones: { default: { pool: 'default' }, relay: { host: 'smtp.provider.example' }, other: {} }, pools: { default: [{ address: '127.0.0.1' }] } };
    writeFileSync(join(folder, 'node_modules/wild-config/index.js'), `module.exports = ${JSON.stringify(config)};`);
    const app = join(folder, 'app.js');
    createRequire(app)('wild-config');
    Object.defineProperty(process, 'mainModule', { value: { filename: app }, configurable: true });
    process.argv.push('--senderName=default');
});

afterAll(() => {
    delete extensions['.ts'];
    process.argv.pop();
    if (main) {
        Object.defineProperty(process, 'mainModule', main);
    } else {
        delete (process as { mainModule?: unknown }).mainModule;
    }
    rmSync(folder, { recursive: true });
});

afterEach(() => {
    vi.useRealTimers();
    broken = undefined;
});

function plugin(file: File): PluginModule {
    return load(join(ROOT, 'plugins', `${file}.ts`)) as PluginModule;
}

/** A new process loads everything anew. */
function forgetModules(): void {
    for (const file of Object.keys(load.cache).filter(name => name.startsWith(ROOT) && name.endsWith('.ts'))) {
        Reflect.deleteProperty(load.cache, file);
    }
}

const SETTINGS: Record<string, Record<string, unknown>> = {
    [KEY]: { enabled: ['main', 'receiver', 'sender'], zones: ['default'], apiToken: 'a-token' },
    [`${KEY}/rspamd`]: { enabled: ['receiver', 'main'], servers: ['http://127.0.0.1:11333'] },
    [`${KEY}/random-ip`]: { enabled: ['sender'] },
    [`${KEY}/reputation`]: { enabled: ['sender'] },
    [`${KEY}/relay`]: { enabled: ['sender', 'main'], zones: ['relay'] }
};

type Action = (...args: unknown[]) => Promise<void>;

/** A process of ZoneMTA with our plugins in its configuration. */
class FakeProcess {
    readonly hooks = new Map<string, Action[]>();
    readonly routes = new Map<string, (request: object, response: object) => Promise<void>>();
    readonly logged: string[] = [];
    readonly gelf: Record<string, unknown>[] = [];
    readonly app: Record<string, unknown>;
    readonly files: File[];

    constructor(context: Context, settings: Record<string, Record<string, unknown>> = SETTINGS) {
        forgetModules();
        const keys = Object.entries(settings).filter(([, { enabled }]) => (enabled as string[]).includes(context));
        this.files = keys.flatMap(([key]) => FILES.find(file => key === KEY + (file === 'index' ? '' : `/${file}`)) ?? []);
        const log = (_prefix: string, ...args: unknown[]) => this.logged.push(format(...args));
        const route = (method: string) => (path: string, handler: (request: object, response: object) => Promise<void>) => this.routes.set(`${method} ${path}`, handler);
        const collection = { createIndex: async () => 'done', insertOne: async () => undefined };
        this.app = {
            manager: {
                context,
                plugins: keys.map(([key]) => ({ key, path: key })),
                options: { plugins: settings },
                apiServer: { server: { get: route('get'), post: route('post'), del: route('del') } }
            },
            config: settings[KEY] ?? {},
            logger: { error: log, info: log },
            loggelf: (event: Record<string, unknown>) => this.gelf.push(event),
            addHook: (name: string, action: Action) => this.hooks.set(name, [...(this.hooks.get(name) ?? []), action]),
            addAnalyzerHook: () => undefined,
            mongodb: { collection: () => collection },
            redis: undefined,
            getQueue: () => false
        };
    }

    /** Loads a plugin and calls its init, as wild-plugins does: a failure is only logged. */
    start(...files: readonly File[]): this {
        for (const file of files) {
            const done = vi.fn();
            try {
                plugin(file).init(this.app, done);
                expect(done).toHaveBeenCalledOnce();
            } catch (err) {
                this.logged.push(`ZoneMTA: ${(err as Error).message}`);
            }
        }
        return this;
    }

    /** Runs a hook of ZoneMTA: one after another, until one throws. */
    async run(name: string, ...args: unknown[]): Promise<void> {
        for (const action of this.hooks.get(name) ?? []) {
            await action(...args, () => undefined);
        }
    }

    mailFrom(): Promise<void> {
        return this.run('smtp:mail_from', { address: 'author@ours.example' }, {});
    }

    fetch(sendingZone: string): Promise<void> {
        // only the gate's own hook, which is the first
        return this.hooks.get('sender:fetch')?.[0]?.({ id: '19b0', seq: '001', sendingZone }, () => undefined) ?? Promise.resolve();
    }

    async status(): Promise<unknown[]> {
        const answers: unknown[] = [];
        const request = { params: {}, query: {}, header: () => 'Bearer a-token' };
        await this.routes.get('get /plugin/smart-relay/status')?.(request, { json: (...args: unknown[]) => answers.push(...args) });
        return answers;
    }
}

/** What became of a promise after everything that could be done at once was done. */
async function outcome(promise: Promise<void>): Promise<string> {
    let state = 'pending';
    promise.then(
        () => (state = 'passed'),
        (err: { responseCode?: number; message: string }) => (state = `${err.responseCode ?? ''} ${err.message}`)
    );
    for (let turn = 0; turn < 5; turn++) {
        await new Promise(resolve => setImmediate(resolve));
    }
    return state;
}

/** What a process does in its own time, after the last plugin came. */
function happened(condition: () => boolean): Promise<boolean> {
    return vi.waitUntil(condition, { timeout: 10_000, interval: 5 });
}

const REFUSED = '451 4.3.5 Mail system is not configured correctly, try again later';
const WRONG = { ...SETTINGS, [KEY]: { ...SETTINGS[KEY], shadow: 'perhaps' } };

describe('a process with all plugins and right settings', () => {
    it.each(['receiver', 'main', 'sender'] as const)('is ready: %s', async context => {
        const zonemta = new FakeProcess(context);
        zonemta.start(...zonemta.files);
        await happened(() => zonemta.gelf.some(event => event['_smart_relay_code'] === 'READY'));
        await expect(zonemta.mailFrom()).resolves.toBeUndefined();
        await expect(zonemta.fetch('default')).resolves.toBeUndefined();
        await expect(zonemta.run('api:mail', {}, {})).resolves.toBeUndefined();
        expect(zonemta.logged).toEqual([]);
    });

    it('has the gate before every other hook of ours', () => {
        const sender = new FakeProcess('sender').start('relay', 'reputation', 'random-ip');
        expect([...sender.hooks.keys()][0]).toBe('sender:fetch');
        const receiver = new FakeProcess('receiver').start('rspamd');
        expect([...receiver.hooks.keys()][0]).toBe('smtp:mail_from');
    });

    it('shows its state to the operator', async () => {
        const zonemta = new FakeProcess('main');
        zonemta.start(...zonemta.files);
        await happened(() => zonemta.gelf.length > 0);
        expect(await zonemta.status()).toMatchObject([200, { gate: 'open', faults: [], zones: ['default'], relayZones: ['relay'], plugins: { rspamd: true, relay: true }, off: [] }]);
    });
});

describe('while a plugin has not come yet', () => {
    it('the receiver waits five seconds, then refuses for now', async () => {
        const zonemta = new FakeProcess('receiver').start('rspamd');
        vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
        const answer = zonemta.mailFrom().catch((err: { responseCode: number; message: string }) => `${err.responseCode} ${err.message}`);
        let settled = false;
        void answer.then(() => (settled = true));
        await vi.advanceTimersByTimeAsync(4999);
        expect(settled).toBe(false);
        await vi.advanceTimersByTimeAsync(1);
        expect(await answer).toBe(REFUSED);
    });

    it('the receiver takes the mail that waited when it comes in time', async () => {
        const zonemta = new FakeProcess('receiver').start('rspamd');
        const answer = zonemta.mailFrom();
        expect(await outcome(answer)).toBe('pending');
        zonemta.start('index');
        await expect(answer).resolves.toBeUndefined();
    });

    it('a sender holds the mail of our zones, and no other', async () => {
        const zonemta = new FakeProcess('sender').start('random-ip', 'index', 'reputation');
        const held = zonemta.fetch('default');
        expect(await outcome(held)).toBe('pending');
        expect(await outcome(zonemta.fetch('relay'))).toBe('pending');
        expect(await outcome(zonemta.fetch('other'))).toBe('passed');
        zonemta.start('relay');
        await expect(held).resolves.toBeUndefined();
    });
});

describe('with a wrong setting', () => {
    it('the receiver refuses at once, and the log says what is wrong', async () => {
        const zonemta = new FakeProcess('receiver', WRONG);
        zonemta.start(...zonemta.files);
        await happened(() => zonemta.logged.length > 0);
        expect(await outcome(zonemta.mailFrom())).toBe(REFUSED);
        expect(zonemta.logged).toEqual([expect.stringMatching(/^GATE CLOSED: plugins\."modules\/zonemta-smart-relay": shadow = "perhaps": /)]);
        expect(zonemta.gelf).toMatchObject([{ _smart_relay_code: 'GATE_CLOSED', _smart_relay_fault: expect.stringContaining('shadow') as unknown }]);
    });

    it('the HTTP submission of the main process refuses too, and /status says why', async () => {
        const zonemta = new FakeProcess('main', WRONG);
        zonemta.start(...zonemta.files);
        await happened(() => zonemta.logged.length > 0);
        expect(await outcome(zonemta.run('api:mail', {}, {}))).toBe(REFUSED);
        expect(await zonemta.status()).toMatchObject([200, { gate: 'closed', faults: [expect.stringContaining('shadow = "perhaps"')] }]);
    });

    it('a sender holds the mail of our zones and lets the others go', async () => {
        const zonemta = new FakeProcess('sender', WRONG);
        zonemta.start(...zonemta.files);
        await happened(() => zonemta.logged.length > 0);
        expect(await outcome(zonemta.fetch('default'))).toBe('pending');
        expect(await outcome(zonemta.fetch('relay'))).toBe('pending');
        expect(await outcome(zonemta.fetch('other'))).toBe('passed');
    });

    it('a sender that had fetched mail of another zone before lets it go', async () => {
        const zonemta = new FakeProcess('sender', WRONG).start('random-ip');
        const early = zonemta.fetch('other');
        zonemta.start('index', 'reputation', 'relay');
        await happened(() => zonemta.logged.length > 0);
        expect(await outcome(early)).toBe('passed');
    });

    it('a sender whose zones cannot be read holds everything', async () => {
        const zonemta = new FakeProcess('sender', { ...SETTINGS, [KEY]: { ...SETTINGS[KEY], zones: [5] } });
        zonemta.start(...zonemta.files);
        await happened(() => zonemta.logged.length > 0);
        expect(await outcome(zonemta.fetch('other'))).toBe('pending');
    });
});

describe('when a plugin does not load', () => {
    it.each([
        ['receiver', 'rspamd'],
        ['main', 'relay'],
        ['sender', 'reputation']
    ] as const)('the gate of the %s is closed before it is its turn', async (context, file) => {
        broken = `plugins/${file}.ts`;
        const zonemta = new FakeProcess(context).start('index');
        const refused = context === 'sender' ? zonemta.fetch('default') : zonemta.run(context === 'main' ? 'api:mail' : 'smtp:mail_from', {}, {});
        expect(await outcome(refused)).toBe(context === 'sender' ? 'pending' : REFUSED);
        expect(zonemta.logged).toEqual([`GATE CLOSED: the plugin ${file} did not load: Cannot find module 'valibot'`]);
        zonemta.start(...zonemta.files.filter(other => other !== 'index'));
        expect(await outcome(context === 'sender' ? zonemta.fetch('default') : zonemta.run(context === 'main' ? 'api:mail' : 'smtp:mail_from', {}, {}))).not.toBe('passed');
    });

    it.each(['lib/settings/parse.ts', 'lib/process/services.ts', 'lib/scan/scanner.ts'])('a missing dependency of %s closes the gate too', async file => {
        broken = file;
        const zonemta = new FakeProcess('receiver');
        zonemta.start(...zonemta.files);
        await happened(() => zonemta.logged.length > 0);
        expect(await outcome(zonemta.mailFrom())).toBe(REFUSED);
        expect(zonemta.logged.join()).toContain("Cannot find module 'valibot'");
    });
});

describe('two processes in one', () => {
    it('do not share their state', async () => {
        const wrong = new FakeProcess('receiver', WRONG);
        const right = new FakeProcess('receiver');
        // both on the same loaded modules
        wrong.start(...wrong.files);
        right.start(...right.files);
        await happened(() => wrong.logged.length > 0 && right.gelf.length > 0);
        expect(await outcome(wrong.mailFrom())).toBe(REFUSED);
        expect(await outcome(right.mailFrom())).toBe('passed');
    });
});
