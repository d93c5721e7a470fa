/**
 * The body of a message on its way in, kept until the message is decided: small ones in memory, larger ones in a file.
 * Many large messages at once then cost disk space, not memory.
 */
import { randomBytes } from 'node:crypto';
import { open, readdir, stat, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable, type Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Envelope } from '@zone-eu/types';
import { BOUNCE_INTERFACE } from './message';

/** A message that was seen whole. It can be read as often as servers are asked. */
export interface Body {
    readonly size: number;
    read(): Buffer | AsyncIterable<Buffer>;
    /** Gives memory and file back. Never rejects. */
    dispose(): Promise<void>;
}

export interface SpoolOptions {
    /** Larger messages are not kept, bytes. */
    limit: number;
    /** Up to here in memory, bytes. */
    memory?: number;
    dir?: string;
    /** What is neither written to nor taken for so long was abandoned, ms. */
    abandonedAfter?: number;
}

const MEMORY = 1024 * 1024;
const CHUNK = 64 * 1024;
const PREFIX = 'smart-relay-scan-';
/** smtp-server cuts a silent client off after ten minutes, and lets the stream of its message hang without an event. */
const ABANDONED = 15 * 60_000;
/** A file has its name for less than a millisecond; one that is a minute old was left by a killed process. */
const LEFT_OVER = 60_000;

/** Takes a message in as a stream, and has it as a Body at the end. */
export class Spool extends Writable {
    private chunks: Buffer[] = [];
    private size = 0;
    private file: FileHandle | undefined;
    private readonly abandoned: NodeJS.Timeout;

    constructor(private readonly options: SpoolOptions) {
        super({ highWaterMark: CHUNK });
        this.abandoned = setTimeout(() => {
            this.destroy();
            void this.release();
        }, options.abandonedAfter ?? ABANDONED).unref();
        // whoever takes the body learns of a failure; without a listener it would end the process
        this.on('error', () => undefined);
    }

    /**
     * The body, when all of it has been written; `'oversize'` when it is over the limit.
     *
     * @throws when it was not seen whole, or could not be kept
     */
    async body(): Promise<Body | 'oversize'> {
        await finished(this);
        clearTimeout(this.abandoned);
        if (this.size > this.options.limit) {
            return 'oversize';
        }
        const { file, size } = this;
        if (file) {
            return { size, read: () => readFile(file, size), dispose: () => this.release() };
        }
        const whole = Buffer.concat(this.chunks);
        this.chunks = [];
        return { size, read: () => whole, dispose: () => this.release() };
    }

    override _write(chunk: Buffer, _encoding: BufferEncoding, done: (err?: Error | null) => void): void {
        this.abandoned.refresh();
        const before = this.size;
        this.size += chunk.length;
        const { limit, memory = MEMORY } = this.options;
        if (this.size > limit) {
            void this.release();
            return done();
        }
        this.chunks.push(chunk);
        if (!this.file && this.size <= memory) {
            return done();
        }
        const [all, position] = this.file ? [chunk, before] : [Buffer.concat(this.chunks), 0];
        this.chunks = [];
        this.keep(all, position).then(() => done(), done);
    }

    override _destroy(err: Error | null, done: (err?: Error | null) => void): void {
        if (!this.writableFinished) {
            void this.release();
        }
        done(err);
    }

    private async keep(data: Buffer, position: number): Promise<void> {
        this.file ??= await openNameless(this.options.dir ?? tmpdir());
        for (let written = 0; written < data.length; ) {
            written += (await this.file.write(data, written, data.length - written, position + written)).bytesWritten;
        }
        if (this.destroyed) {
            await this.release();
        }
    }

    private async release(): Promise<void> {
        clearTimeout(this.abandoned);
        const { file } = this;
        this.chunks = [];
        this.file = undefined;
        await file?.close().catch(() => undefined);
    }
}

/** The bodies of the messages that are coming in, by their envelopes. */
export class Collector {
    private readonly spools = new WeakMap<object, Spool>();

    /** @param options undefined until the settings are known: such a message is not kept, and counts as not seen whole */
    constructor(private readonly options: () => SpoolOptions | undefined) {}

    /** The analyzer hook: passes the message on and keeps a copy. */
    collect(envelope: Envelope, source: Readable, destination: Writable): void {
        source.pipe(destination);
        const options = this.options();
        if (envelope.interface === BOUNCE_INTERFACE || !options) {
            return;
        }
        const spool = new Spool(options);
        this.spools.set(envelope, spool);
        const cutOff = () => {
            if (!source.readableEnded) {
                spool.destroy(new Error('the message was cut off'));
            }
        };
        source.once('error', cutOff).once('close', cutOff);
        // both readers have to take a chunk before the next one comes; a copy that fails does not stop the message
        source.pipe(spool);
    }

    /** Takes the body out. `undefined`: never seen whole; `'oversize'`: over the limit. */
    async take(envelope: Envelope): Promise<Body | 'oversize' | undefined> {
        const spool = this.spools.get(envelope);
        this.spools.delete(envelope);
        return spool?.body().catch(() => undefined);
    }
}

/** Removes files that a process left which was killed before it could take their names away. Never rejects. */
export async function sweepSpool(now: number, dir = tmpdir()): Promise<void> {
    const names = await readdir(dir).catch(() => []);
    for (const path of names.filter(name => name.startsWith(PREFIX)).map(name => join(dir, name))) {
        const age = await stat(path).then(({ mtimeMs }) => now - mtimeMs, () => 0);
        if (age > LEFT_OVER) {
            await unlink(path).catch(() => undefined);
        }
    }
}

/** A file without a name: the system removes it when it is closed, also by the end of a killed process. */
async function openNameless(dir: string): Promise<FileHandle> {
    const path = join(dir, PREFIX + randomBytes(12).toString('hex'));
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    return file;
}

async function* readFile(file: FileHandle, size: number): AsyncGenerator<Buffer> {
    for (let position = 0; position < size; ) {
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK), 0, Math.min(CHUNK, size - position), position);
        if (bytesRead === 0) {
            throw new Error('the temporary file is shorter than the message');
        }
        position += bytesRead;
        yield buffer.subarray(0, bytesRead);
    }
}
