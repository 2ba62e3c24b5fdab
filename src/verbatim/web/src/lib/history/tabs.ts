/** Talk between the pages of one browser: who still works on what, and that something changed. */

type Message = { kind: 'who' } | { kind: 'here'; page: string } | { kind: 'changed' };

const CHANNEL = 'verbatim.history';
const ANSWER_MS = 250;

export class Tabs {
  readonly #channel = new BroadcastChannel(CHANNEL);
  readonly #here = new Set<string>();

  constructor(
    readonly page: string,
    onChanged: () => void,
  ) {
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => {
      if (data.kind === 'who') this.#post({ kind: 'here', page });
      else if (data.kind === 'here') this.#here.add(data.page);
      else onChanged();
    };
  }

  changed(): void {
    this.#post({ kind: 'changed' });
  }

  /** The pages that are open now, this one included; it takes a moment to hear from them. */
  async present(): Promise<ReadonlySet<string>> {
    this.#here.clear();
    this.#post({ kind: 'who' });
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    return new Set([...this.#here, this.page]);
  }

  #post(message: Message): void {
    this.#channel.postMessage(message);
  }
}
