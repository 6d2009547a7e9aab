// The conversations, which the browser alone keeps: the server sees one when it is chatted in or opened, and never
// the others.
window.gpt2chat = (() => {
    const CONVERSATIONS = "gpt2-chat-conversations";
    const CURRENT = "gpt2-chat-current";
    const SENT = "gpt2-chat-sent";
    const MAX_CONVERSATIONS = 30;
    const MAX_TITLE_CHARACTERS = 40;
    const MAX_IMPORT_BYTES = 2_000_000;
    const KEEP_EVERY_MILLISECONDS = 200;
    const MAX_STOPPING_MILLISECONDS = 3000;
    const OTHER_TABS_MILLISECONDS = 1000;
    const NARROW = "(max-width: 899px)";

    // In milliseconds, for durations: the clock may be put back, and what waits for it would wait as long.
    const now = () => performance.now();

    // Where the browser allows no storage (some do not inside another site's frame), or has no room for it, this
    // page's life is all.
    const store = (area) => {
        const memory = new Map();
        return {
            hold: (key, value) => memory.set(key, value),
            get(key) {
                if (memory.has(key)) return memory.get(key);
                try { return window[area].getItem(key); } catch { return null; }
            },
            // False where there is no room.
            set(key, value) {
                try {
                    window[area].setItem(key, value);
                    memory.delete(key);
                } catch (error) {
                    if (error.name === "QuotaExceededError") return false;
                    memory.set(key, value);
                }
                return true;
            },
        };
    };
    const browser = store("localStorage");
    const tab = store("sessionStorage");

    // Read anew each time: another tab may have written since.
    function conversations() {
        try {
            const found = JSON.parse(browser.get(CONVERSATIONS));
            return found.filter((each) => typeof each.id === "string" && Array.isArray(each.turns));
        } catch {
            return [];
        }
    }

    function write(all) {
        const latest = all.slice(0, MAX_CONVERSATIONS);
        let kept = latest;
        while (!browser.set(CONVERSATIONS, JSON.stringify(kept))) {
            if (kept.length <= 1) return browser.hold(CONVERSATIONS, JSON.stringify(latest));
            kept = kept.slice(0, -1);
        }
    }

    function title(conversation) {
        const first = conversation.turns.find((turn) => turn?.role === "user")?.content ?? "";
        if (typeof first !== "string") return "Unreadable";
        const characters = [...first.split(/\s+/).filter(Boolean).join(" ")];
        if (characters.length <= MAX_TITLE_CHARACTERS) return characters.join("");
        return characters.slice(0, MAX_TITLE_CHARACTERS).join("").trimEnd() + "...";
    }

    // For the list in the side bar, in Gradio's words.
    function listing() {
        const all = conversations();
        const current = tab.get(CURRENT);
        return {
            __type__: "update",
            choices: all.map((each) => [title(each), each.id]),
            value: all.some((each) => each.id === current) ? current : null,
        };
    }

    // What this tab last saw of each conversation, and the new ids of those that another tab went on with, too:
    // each tab's words are kept.
    const seen = new Map();
    const renamed = new Map();
    // What this tab has put other words in the place of, as where a reply is drawn again.
    const replaced = new Map();
    const said = (conversation) => JSON.stringify(conversation.turns);
    // Whether the one says no more than the other, whose last message may have grown since.
    const isIn = (earlier, later) => later.startsWith(earlier.slice(0, -'"}]'.length));
    // Whether what the browser keeps is what this tab had said before it said what is known of it.
    const isOwn = (kept, known) => isIn(said(kept), known) || said(kept) === replaced.get(kept.id);

    // How often this tab has left a conversation, and had when the one that is to be kept was last shown.
    let departures = 0;
    let shownAfter = 0;

    // What was sent and is not kept yet, for a page that is loaded anew before: the server may never have got it.
    const sending = () => tab.set(SENT, field()?.value ?? "");
    const alike = (text) => (text ?? "").trim();

    // The newest conversation comes first; one in which nothing is said is none.
    function put(conversation, all) {
        const old = all.find((each) => each.id === conversation.id);
        if (JSON.stringify(old) === JSON.stringify(conversation)) return;
        const others = all.filter((each) => each !== old);
        write(conversation.turns.length ? [conversation, ...others] : others);
    }

    // A browser tells its tabs late of what the others have written: one that writes at the same moment may put back
    // what this tab has kept before.
    let putting = 0;
    function putAgain(conversation) {
        const all = conversations();
        const found = all.find((each) => each.id === conversation.id);
        if (found && isOwn(found, said(conversation))) put(conversation, all);
    }

    function keep(sent) {
        if (!sent) return listing();
        const { continues, ...given } = sent;
        const all = conversations();
        // What was on its way here when this tab left it is kept, and is not where the tab is now.
        const isLate = shownAfter !== departures;
        // A server that had forgotten this tab's conversation has given it another id.
        const current = !isLate && all.find((each) => each.id === tab.get(CURRENT));
        if (continues && current && !renamed.has(given.id)) renamed.set(given.id, current.id);
        let conversation = { ...given, id: renamed.get(given.id) ?? given.id };
        const old = all.find((each) => each.id === conversation.id);
        if (continues && old) conversation.replies = { ...old.replies, ...given.replies };
        const isOthers = old && seen.has(old.id) && !isOwn(old, seen.get(old.id));
        if (isOthers && said(old) !== said(conversation)) {
            if (said(conversation) === seen.get(old.id)) return listing();
            renamed.set(given.id, `${given.id}-${Date.now()}`);
            conversation = { ...given, id: renamed.get(given.id) };
        }
        const message = conversation.turns.findLast((turn) => turn?.role === "user");
        if (alike(message?.content) === alike(tab.get(SENT))) tab.set(SENT, "");
        const before = seen.get(conversation.id);
        if (before && !isIn(before, said(conversation))) replaced.set(conversation.id, before);
        seen.set(conversation.id, said(conversation));
        if (!isLate) tab.set(CURRENT, conversation.id);
        put(conversation, all);
        clearTimeout(putting);
        putting = setTimeout(putAgain, OTHER_TABS_MILLISECONDS, conversation);
        return listing();
    }

    // From the click, and from the page's start, until the server's answer has come, messages and conversation
    // may not belong together: what is sent meanwhile waits for it, or until it must have been lost.
    const MAX_LEAVING_MILLISECONDS = 15_000;
    let leavingUntil = now() + MAX_LEAVING_MILLISECONDS;
    const isLeaving = () => now() < leavingUntil;

    const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
    const stopButton = () => document.querySelector("#message .stop-button");

    // Ends the reply that is being drawn, and lets it be kept as far as it has come: Gradio would write what is
    // left of it into the next conversation.
    async function stopped() {
        if (!stopButton()) return;
        stopButton().click();
        const end = now() + MAX_STOPPING_MILLISECONDS;
        while (stopButton() && now() < end) await sleep(50);
        await sleep(KEEP_EVERY_MILLISECONDS + 100);
    }

    // Before the server is asked for another conversation; `arrived` is after its answer, or its error.
    async function leaving() {
        await stopped();
        departures += 1;
        leavingUntil = now() + MAX_LEAVING_MILLISECONDS;
    }

    // Leaves the conversation for a new one.
    async function left() {
        await leaving();
        tab.set(CURRENT, "");
        tab.set(SENT, "");
        return null;
    }

    async function opened(id) {
        const found = conversations().find((each) => each.id === id) ?? null;
        if (found) {
            await left();
            tab.set(CURRENT, id);
            seen.set(id, said(found));
            renamed.delete(id);
            replaced.delete(id);
        }
        return found;
    }

    function arrived() {
        leavingUntil = 0;
        // There it covers the conversation that has come.
        if (window.matchMedia(NARROW).matches) document.querySelector(".sidebar.open .toggle-button")?.click();
        return listing();
    }

    const field = () => document.querySelector("#message textarea");

    // Writes into the field; false where something is there already, or nothing can be written.
    function given(text) {
        const box = field();
        if (!box || box.value || !text || typeof text !== "string") return false;
        box.value = text;
        box.dispatchEvent(new Event("input", { bubbles: true }));
        return true;
    }

    // A reload shows this tab's conversation again, a new tab the latest. The message that the reload (or a lost
    // connection) overtook, or whose reply it broke off before its first word, goes back into the field.
    async function latest() {
        const sent = tab.get(SENT);
        tab.set(SENT, "");
        const own = await opened(tab.get(CURRENT));
        if (given(sent)) return own;
        const last = own?.turns.at(-1);
        if (last?.role !== "user" || !given(last.content)) return own ?? opened(conversations()[0]?.id);
        return { ...own, turns: own.turns.slice(0, -1) };
    }

    // Deletes this conversation; its id where it is to stay, null where there is none any more.
    async function removed() {
        await stopped();
        const found = conversations().find((each) => each.id === tab.get(CURRENT));
        if (!found) return left();
        if (!window.confirm(`Delete "${title(found)}" from this browser?`)) return { id: found.id };
        write(conversations().filter((each) => each.id !== found.id));
        return left();
    }

    let last = 0;
    let waiting = false;
    // A new number when it is time to keep what has changed, nothing while an earlier call waits for that.
    async function settled() {
        if (waiting) return undefined;
        waiting = true;
        // At least as long as a click needs that changes what is shown and leaves the conversation.
        await sleep(Math.max(last + KEEP_EVERY_MILLISECONDS - now(), 50));
        while (isLeaving()) await sleep(50);
        waiting = false;
        shownAfter = departures;
        last = now();
        return String(last);
    }

    function download(text) {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
        link.download = "conversation.json";
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }

    // The text of a file that the visitor picks; null where they pick none, `tooLarge` for one that is.
    function picked(tooLarge) {
        return new Promise((done) => {
            const input = document.createElement("input");
            Object.assign(input, { type: "file", accept: ".json,application/json", hidden: true });
            input.addEventListener("cancel", () => (input.remove(), done(null)));
            input.addEventListener("change", async () => {
                const file = input.files[0];
                input.remove();
                if (!file) done(null);
                else if (file.size > MAX_IMPORT_BYTES) done(tooLarge);
                else done((await leaving(), await file.text().catch(() => "")));
            });
            document.body.append(input);
            input.click();
        });
    }

    return {
        arrived, browser, download, field, given, isLeaving, keep, latest, leaving, left, opened, picked, removed,
        sending, settled, sleep, stopButton, tab,
    };
})();
