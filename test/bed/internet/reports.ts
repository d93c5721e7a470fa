import { simpleParser, type ParsedMail } from 'mailparser';
import { headerOf } from './smtp';

/** What a delivery report says about one recipient (RFC 3464). */
export interface RecipientReport {
    finalRecipient: string;
    /** `failed`, `delayed`, ... */
    action: string;
    status: string;
    diagnostic: string;
    remoteMta: string;
}

/** Who wrote a letter: Postfix's bounce daemon, ZoneMTA on behalf of the relay, or somebody else. */
export type Writer = 'postfix' | 'zonemta' | 'other';

/** The parts of a letter that an account needs. */
export interface Letter {
    subject: string;
    headerFrom: string;
    text: string;
    writer: Writer;
    reports: readonly RecipientReport[];
    /** From X-Failed-Recipients. */
    failedRecipients: readonly string[];
    /** X-Test-Id of the letter itself, or of the message that a report is about. */
    testId: string;
}

/** Takes a letter apart. */
export async function readLetter(raw: Buffer): Promise<Letter> {
    const mail = await simpleParser(raw, { keepDeliveryStatus: true });
    const part = (...types: readonly string[]) =>
        mail.attachments.find(({ contentType }) => types.includes(contentType))?.content.toString('utf8') ?? '';
    const original = part('message/rfc822', 'text/rfc822-headers', 'message/global', 'message/global-headers');
    return {
        subject: mail.subject ?? '',
        headerFrom: mail.from?.text ?? '',
        text: mail.text ?? '',
        writer: writerOf(mail),
        reports: readDeliveryStatus(part('message/delivery-status', 'message/global-delivery-status')),
        failedRecipients: firstHeader(mail, 'x-failed-recipients').split(',').map(address => address.trim().toLowerCase()).filter(Boolean),
        testId: headerOf(headOfText(original), 'X-Test-Id') || firstHeader(mail, 'x-test-id')
    };
}

/** The recipients' blocks of a message/delivery-status body. */
export function readDeliveryStatus(body: string): readonly RecipientReport[] {
    const blocks = body.split(/\r?\n(?:\r?\n)+/);
    return blocks.flatMap(block => {
        const finalRecipient = withoutType(headerOf(block, 'Final-Recipient')).toLowerCase();
        if (!finalRecipient) {
            return [];
        }
        return {
            finalRecipient,
            action: headerOf(block, 'Action').toLowerCase(),
            status: headerOf(block, 'Status'),
            diagnostic: withoutType(headerOf(block, 'Diagnostic-Code')),
            remoteMta: withoutType(headerOf(block, 'Remote-MTA'))
        };
    });
}

/**
 * X-Failed-Recipients and the name of the default `mailerDaemon` are ZoneMTA's; the sentence stands in every bounce of
 * Postfix. ZoneMTA comes first: its text may quote a Postfix.
 */
function writerOf(mail: ParsedMail): Writer {
    const name = mail.from?.value[0]?.name;
    if (mail.headers.has('x-failed-recipients') || name === 'Mail Delivery Subsystem') {
        return 'zonemta';
    }
    return name === 'Mail Delivery System' || /This is the mail system at host/i.test(mail.text ?? '') ? 'postfix' : 'other';
}

function firstHeader(mail: ParsedMail, name: string): string {
    const value: unknown = mail.headers.get(name);
    return String((Array.isArray(value) ? value[0] : value) ?? '');
}

function headOfText(message: string): string {
    return message.split(/\r?\n\r?\n/, 1)[0] ?? '';
}

/** The value of a typed field: `rfc822; a@b` is a@b. */
function withoutType(field: string): string {
    return field.slice(field.indexOf(';') + 1).trim();
}
