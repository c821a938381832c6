/* conversation.ts: the turns of a chat, as the model gets them. */
import type { ChatMessage } from "libbitnet";

export class Conversation {
  private readonly turns: ChatMessage[] = [];

  /** All turns, this question last. */
  asked(question: string): ChatMessage[] {
    this.turns.push({ role: "user", content: question });
    return [...this.turns];
  }

  answered(text: string): void {
    this.turns.push({ role: "assistant", content: text });
  }

  /** The question that got no answer. */
  takeBack(): void {
    if (this.turns.at(-1)?.role === "user") this.turns.pop();
  }

  clear(): void {
    this.turns.length = 0;
  }
}
