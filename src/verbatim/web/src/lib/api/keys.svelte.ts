/** The keys that the user gave, and the question for one where the server asks. */
import { read, write } from '$lib/storage';

/** `use` opens everyday requests; `admin` keys and models. One key may be both. */
export type KeyRole = 'use' | 'admin';

interface Question {
  role: KeyRole;
  /** The key that was shown did not open. */
  wrong: boolean;
  answer: (given: boolean) => void;
}

const STORED: Record<KeyRole, string> = { use: 'verbatim.key', admin: 'verbatim.admin-key' };

class Keys {
  #keys = $state<Record<KeyRole, string | null>>({ use: null, admin: null });
  /** Asked now; the key dialog shows and answers it. */
  question = $state.raw<Question | null>(null);
  /** The server asked for a key and got none that opens. */
  missing = $state(false);

  begin(): void {
    for (const role of ['use', 'admin'] as const) {
      this.#keys[role] = read(STORED[role], 'session') ?? read(STORED[role]);
    }
  }

  /** The key for a role; for an administrator's task the everyday key, where it is the only one. */
  get(role: KeyRole): string | null {
    return role === 'admin' ? (this.#keys.admin ?? this.#keys.use) : this.#keys.use;
  }

  /** What is stored for exactly this role. */
  own(role: KeyRole): string | null {
    return this.#keys[role];
  }

  /** Keep a key until the tab closes, or, remembered, until it is forgotten. */
  set(role: KeyRole, key: string | null, remember: boolean): void {
    this.#keys[role] = key;
    write(STORED[role], remember ? null : key, 'session');
    write(STORED[role], remember ? key : null);
    if (key !== null && role === 'use') this.missing = false;
  }

  remembered(role: KeyRole): boolean {
    return read(STORED[role]) !== null;
  }

  /** Show the key dialog; resolves to whether a key was given. */
  ask(role: KeyRole): Promise<boolean> {
    this.question?.answer(false);
    return new Promise((resolve) => {
      this.question = {
        role,
        wrong: this.get(role) !== null,
        answer: (given) => {
          this.question = null;
          resolve(given);
        },
      };
    });
  }
}

export const keys = new Keys();
