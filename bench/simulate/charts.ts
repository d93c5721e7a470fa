/** The plots, as SVG. ECharts draws without a browser. */
import * as echarts from 'echarts';
import { STEP_ENDS, type Outcome } from './measures';
import { TITLES } from './report';
import type { StrategyName } from './run';

/** Okabe and Ito's colours, told apart by the colour-blind too; the dashes do it in print. */
const LOOKS: Readonly<Record<StrategyName, { color: string; type: 'solid' | 'dashed' | 'dotted'; symbol: string }>> = {
    package: { color: '#0072B2', type: 'solid', symbol: 'circle' },
    zonemta: { color: '#D55E00', type: 'dashed', symbol: 'rect' },
    random: { color: '#E69F00', type: 'dotted', symbol: 'triangle' },
    kumomta: { color: '#CC79A7', type: 'dashed', symbol: 'diamond' },
    oracle: { color: '#000000', type: 'dotted', symbol: 'emptyCircle' }
};

const [WIDTH, HEIGHT] = [860, 440];
const TEXT = { color: '#222', fontFamily: 'sans-serif', fontSize: 13 };

type Axis = echarts.XAXisComponentOption & echarts.YAXisComponentOption;

/** File name → SVG. */
export function charts(outcomes: readonly Outcome[]): Record<string, string> {
    return {
        'blocked.svg': plot(
            'Pairs of address and provider that are blocked',
            outcomes,
            { name: 'day', type: 'value', min: 0, max: Math.ceil(outcomes[0]?.samples.at(-1)?.hour ?? 0) / 24, interval: 1 },
            { name: 'blocked pairs', type: 'value', min: 0 },
            ({ samples }) => samples.map(({ hour, blocked }) => [hour / 24, blocked])
        ),
        'delivery-time.svg': plot(
            'Wanted messages that have arrived, from the pool or through the relay',
            outcomes,
            { name: 'time since the message was sent', type: 'log', min: 0.1, max: 1_000_000, axisLabel: { formatter: inWords } },
            { name: 'share of messages', type: 'value', min: 0, max: 100, axisLabel: { formatter: '{value} %' } },
            ({ byTime, wanted }) => {
                let sum = 0;
                return byTime.map((messages, step) => [STEP_ENDS[step] ?? 0, (100 * (sum += messages)) / wanted]);
            }
        ),
        'attempts.svg': plot(
            'Wanted messages that needed more than so many attempts from the pool',
            outcomes,
            { name: 'attempts', type: 'value', min: 1, max: 8, interval: 1 },
            { name: 'share of delivered messages', type: 'log', min: 0.0001, max: 100, axisLabel: { formatter: '{value} %' } },
            ({ byAttempts, delivered, relayed }) =>
                byAttempts.slice(1, -1).flatMap((_, index) => {
                    const more = byAttempts.slice(index + 2).reduce((sum, messages) => sum + messages, 0);
                    return more > 0 ? [[index + 1, (100 * more) / (delivered + relayed)]] : [];
                }),
            true
        )
    };
}

function plot(title: string, outcomes: readonly Outcome[], xAxis: Axis, yAxis: Axis, points: (outcome: Outcome) => number[][], showSymbol = false): string {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
    const line = { axisLine: { show: true, lineStyle: { color: '#666' } }, splitLine: { lineStyle: { color: '#e4e4e4' } } };
    chart.setOption({
        animation: false,
        backgroundColor: '#fff',
        textStyle: TEXT,
        title: { text: title, left: 16, top: 10, textStyle: { ...TEXT, fontSize: 16 } },
        legend: { left: 16, top: 40, itemWidth: 42, itemGap: 22, textStyle: TEXT },
        grid: { left: 78, right: 36, top: 84, bottom: 62 },
        xAxis: { nameLocation: 'middle', nameGap: 34, nameTextStyle: TEXT, ...line, ...xAxis, axisLabel: { ...TEXT, ...xAxis.axisLabel } },
        yAxis: { nameLocation: 'middle', nameGap: 56, nameTextStyle: TEXT, ...line, ...yAxis, axisLabel: { ...TEXT, ...yAxis.axisLabel } },
        series: outcomes.map(outcome => {
            const { color, type, symbol } = LOOKS[outcome.strategy as StrategyName];
            return { type: 'line', name: TITLES[outcome.strategy as StrategyName], data: points(outcome), symbol, symbolSize: 8, showSymbol, itemStyle: { color }, lineStyle: { color, type, width: 2.4 } };
        })
    } as echarts.EChartsCoreOption);
    const svg = chart.renderToSVGString();
    chart.dispose();
    return svg;
}

function inWords(seconds: number): string {
    const words: Record<number, string> = { 0.1: '0.1 s', 1: '1 s', 10: '10 s', 100: '100 s', 1000: '17 min', 10_000: '3 h', 100_000: '28 h', 1_000_000: '12 d' };
    return words[Number(seconds.toPrecision(1))] ?? '';
}
