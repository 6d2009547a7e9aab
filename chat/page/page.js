// What the page does in the browser alone: keeps the conversations there, and what Gradio leaves to be wished.
// The server sees a conversation when it is chatted in or opened, and never the others.
window.gpt2chat = (() => {
    const CONVERSATIONS = "gpt2-chat-conversations";
    const CURRENT = "gpt2-chat-current";
    const DRAFT = "gpt2-chat-draft";
    const THEME = "gpt2-chat-theme";
    const MAX_CONVERSATIONS = 30;
    const MAX_TITLE_CHARACTERS = 40;
    const MAX_IMPORT_BYTES = 2_000_000;
    const KEEP_EVERY_MILLISECONDS = 200;
    const MAX_STOPPING_MILLISECONDS = 3000;
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
    const said = (conversation) => JSON.stringify(conversation.turns);

    // The newest conversation comes first; one in which nothing is said is none.
    function keep(sent) {
        if (!sent) return listing();
        const { continues, ...given } = sent;
        const all = conversations();
        // A server that had forgotten this tab's conversation has given it another id.
        const current = all.find((each) => each.id === tab.get(CURRENT));
        if (continues && current && !renamed.has(given.id)) renamed.set(given.id, current.id);
        let conversation = { ...given, id: renamed.get(given.id) ?? given.id };
        let old = all.find((each) => each.id === conversation.id);
        if (continues && old) conversation.replies = { ...old.replies, ...given.replies };
        if (old && seen.has(old.id) && ![seen.get(old.id), said(conversation)].includes(said(old))) {
            if (said(conversation) === seen.get(old.id)) return listing();
            renamed.set(given.id, `${given.id}-${Date.now()}`);
            conversation = { ...given, id: renamed.get(given.id) };
            old = undefined;
        }
        seen.set(conversation.id, said(conversation));
        tab.set(CURRENT, conversation.id);
        if (JSON.stringify(old) !== JSON.stringify(conversation)) {
            const others = all.filter((each) => each !== old);
            write(conversation.turns.length ? [conversation, ...others] : others);
        }
        return listing();
    }

    // From the click, and from the page's start, until the server's answer has come, messages and conversation
    // may not belong together: what is sent meanwhile waits for it, or until it must have been lost.
    const MAX_LEAVING_MILLISECONDS = 15_000;
    let leavingUntil = now() + MAX_LEAVING_MILLISECONDS;
    const isLeaving = () => now() < leavingUntil;

    let isSending = false;
    async function sendOnArrival() {
        if (isSending) return;
        isSending = true;
        while (isLeaving()) await sleep(50);
        isSending = false;
        document.querySelector("#message .submit-button")?.click();
    }

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
        leavingUntil = now() + MAX_LEAVING_MILLISECONDS;
    }

    // Leaves the conversation for a new one.
    async function left() {
        await leaving();
        tab.set(CURRENT, "");
        return null;
    }

    async function opened(id) {
        const found = conversations().find((each) => each.id === id) ?? null;
        if (found) {
            await left();
            tab.set(CURRENT, id);
            seen.set(id, said(found));
            renamed.delete(id);
        }
        return found;
    }

    function arrived() {
        leavingUntil = 0;
        // There it covers the conversation that has come.
        if (window.matchMedia(NARROW).matches) document.querySelector(".sidebar.open .toggle-button")?.click();
        return listing();
    }

    // A reload shows this tab's conversation again, a new tab the latest. The message whose reply the reload (or a
    // lost connection) broke off before its first word goes back into the field.
    async function latest() {
        const own = await opened(tab.get(CURRENT));
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

    function setDark(isDark) {
        document.body.classList.toggle("dark", isDark);
        browser.set(THEME, isDark ? "dark" : "light");
    }
    const toggleDark = () => setDark(!document.body.classList.contains("dark"));

    const field = () => document.querySelector("#message textarea");

    // Writes into the field; false where something is there already, or nothing can be written.
    function given(text) {
        const box = field();
        if (!box || box.value || !text || typeof text !== "string") return false;
        box.value = text;
        box.dispatchEvent(new Event("input", { bubbles: true }));
        return true;
    }

    // On a touch screen it would open the keyboard over half of the page.
    function focusField() {
        if (window.matchMedia("(hover: hover)").matches) field()?.focus({ preventScroll: true });
    }

    // What has no name of its own for those who hear the page, wherever Gradio has drawn it anew.
    const REPLY = "#chatbot [data-testid=bot]";
    const NAMES = {
        ".toggle-button": "Conversations",
        "#message .submit-button": "Send",
        "#message .stop-button": "Stop",
        "#chatbot [data-testid=user]": "You",
        [REPLY]: "GPT-2",
        "#chatbot .edit-textarea": "Your message, edited",
        "#chatbot .examples": "Examples",
    };
    // The button of each slider has the same name, in the visitor's language.
    function nameReset(button) {
        const slider = button.closest(".head")?.querySelector("[data-testid=block-info]")?.textContent.trim();
        const name = button.getAttribute("aria-label");
        if (slider && !name.endsWith(`: ${slider}`)) button.setAttribute("aria-label", `${name}: ${slider}`);
    }

    // What is said to those who hear the page; anew where it is what was said last.
    const heard = Object.assign(document.createElement("div"), { id: "heard", role: "status" });
    function say(text) {
        heard.textContent = "";
        setTimeout(() => { heard.textContent = meant(text); }, 100);
    }

    // A reply is heard once, as a whole: the log would be read anew with each of its words.
    let isWaiting = false;
    let isAnswered = false;
    function hearReply() {
        const isDrawing = Boolean(stopButton());
        const [live, other] = isDrawing ? ["off", "polite"] : ["polite", "off"];
        document.querySelector(`#chatbot [role=log][aria-live=${other}]`)?.setAttribute("aria-live", live);
        const last = [...document.querySelectorAll("#chatbot :is([data-testid=user], [data-testid=bot])")].at(-1);
        const reply = last?.dataset.testid === "bot" ? last.textContent.trim() : "";
        if (!isDrawing && isAnswered) say(reply);
        // What stands last before the message that is answered, or comes back without an answer, is an old reply.
        isWaiting = isDrawing && (isWaiting || last?.dataset.testid === "user");
        isAnswered = isWaiting && reply !== "";
    }

    let wasClosed = false;
    let focused = null;
    function mend() {
        for (const [selector, name] of Object.entries(NAMES)) {
            for (const each of document.querySelectorAll(`:is(${selector}):not([aria-label="${name}"])`)) {
                each.setAttribute("aria-label", name);
                if (!each.matches("button, textarea")) each.setAttribute("role", "group");
            }
        }
        for (const each of document.querySelectorAll(`${REPLY}:not([tabindex])`)) {
            each.tabIndex = 0;
            each.setAttribute("aria-description", "Enter tells about this reply");
        }
        document.querySelectorAll(".reset-button").forEach(nameReset);
        for (const each of document.querySelectorAll(".sidebar-content")) each.inert = !each.closest(".sidebar.open");
        hearReply();
        // The field is closed while a reply is drawn, and loses the focus by it; so does a button that goes by its
        // own click.
        const isClosed = field()?.disabled ?? false;
        const isLost = document.activeElement === document.body && (wasClosed || focused?.isConnected === false);
        if (isLost && !isClosed) {
            focused = null;
            focusField();
        }
        wasClosed = isClosed;
    }
    document.addEventListener("focusin", (event) => { focused = event.target; });

    // As a click does; Gradio's replies are for the mouse.
    function chooseReply(event) {
        if (!["Enter", " "].includes(event.key) || !event.target.matches(REPLY)) return;
        event.preventDefault();
        event.stopPropagation();
        event.target.click();
    }
    window.addEventListener("keydown", chooseReply, true);

    // Gradio loads the page anew when a lost connection is back.
    let hasStarted = false;
    window.addEventListener("pagehide", () => hasStarted && tab.set(DRAFT, field()?.value ?? ""));
    function restoreDraft() {
        const draft = tab.get(DRAFT);
        tab.set(DRAFT, "");
        hasStarted = true;
        given(draft);
    }

    function start() {
        const theme = browser.get(THEME);
        if (theme) setDark(theme === "dark");
        restoreDraft();
        document.body.append(heard);
        mend();
        const attributes = ["aria-label", "class", "disabled"];
        new MutationObserver(mend).observe(document.body, { subtree: true, childList: true, attributeFilter: attributes });
        focusField();
    }

    // `TextChatbot` puts an invisible character after what would open a tag; copies go without it.
    const meant = (text) => text.replace(/([<&])\u2060/g, "$1");
    const clipboard = navigator.clipboard;
    if (clipboard?.writeText) {
        const writeText = clipboard.writeText.bind(clipboard);
        clipboard.writeText = (text) => writeText(meant(text));
    }
    document.addEventListener("copy", (event) => {
        const text = String(document.getSelection());
        if (!text || text === meant(text)) return;
        event.clipboardData.setData("text/plain", meant(text));
        event.preventDefault();
    });

    // The first of two buttons under the field; their names are in the visitor's language.
    const SUBMIT_EDIT = "#chatbot .message-row:has(.edit-textarea) + .message-buttons button:first-of-type";

    // Gradio sends an empty message, too, and lets a reply be drawn into another one.
    function refuse(event) {
        const isClick = event.type === "click";
        // That which ends a composition (of Japanese, say) is none; Safari tells so by the code 229 alone.
        const isEnter =
            event.key === "Enter" && !event.shiftKey && !event.isComposing && event.keyCode !== 229 &&
            event.target.matches("#message textarea");
        const isSend = isEnter || (isClick && event.target.closest("#message .submit-button"));
        const isAgain = isClick && event.target.closest(`#again, ${SUBMIT_EDIT}`);
        const isEmpty = isSend && !field()?.value.trim();
        const isEarly = isLeaving() && (isSend || isAgain || (isClick && event.target.closest("#chatbot")));
        if (isEarly && isSend && !isEmpty) sendOnArrival();
        if (isEmpty || isEarly || (isAgain && stopButton())) {
            event.stopPropagation();
            event.preventDefault();
        }
    }
    for (const type of ["keydown", "click"]) window.addEventListener(type, refuse, true);

    return {
        arrived, download, keep, latest, leaving, left, opened, picked, removed, say, settled, start, toggleDark,
    };
})();
