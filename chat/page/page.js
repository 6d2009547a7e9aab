// What Gradio lacks: for those who use no mouse, for those who hear the page, and for what is sent.
Object.assign(window.gpt2chat, (({ browser, field, given, isLeaving, sending, sleep, stopButton, tab }) => {
    const DRAFT = "gpt2-chat-draft";
    const THEME = "gpt2-chat-theme";
    const MAX_ANSWER_MILLISECONDS = 3000;

    function setDark(isDark) {
        document.body.classList.toggle("dark", isDark);
        browser.set(THEME, isDark ? "dark" : "light");
    }
    const toggleDark = () => setDark(!document.body.classList.contains("dark"));

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
    let asked = 0;
    let isAnswered = false;
    function hearReply(isDrawing) {
        const [live, other] = isDrawing ? ["off", "polite"] : ["polite", "off"];
        document.querySelector(`#chatbot [role=log][aria-live=${other}]`)?.setAttribute("aria-live", live);
        const messages = [...document.querySelectorAll("#chatbot :is([data-testid=user], [data-testid=bot])")];
        const last = messages.at(-1);
        const reply = last?.dataset.testid === "bot" ? last.textContent.trim() : "";
        if (!isDrawing && isAnswered) say(reply);
        // What stands last before the message comes, or once it went back into the field, is an old reply.
        const questions = messages.filter((each) => each.dataset.testid === "user").length;
        if (!isDrawing) asked = 0;
        else if (last?.dataset.testid === "user") asked = questions;
        isAnswered = asked > 0 && asked === questions && reply !== "";
    }

    let wasDrawing = false;
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
        for (const each of document.querySelectorAll(".label-wrap, .toggle-button")) {
            each.setAttribute("aria-expanded", Boolean(each.closest(".label-wrap.open, .sidebar.open")));
        }
        for (const each of document.querySelectorAll(".sidebar-content")) each.inert = !each.closest(".sidebar.open");
        const isDrawing = Boolean(stopButton());
        // What is sent while an earlier part is read would stay out of sight, and its reply, too.
        if (isDrawing && !wasDrawing) document.querySelector("#chatbot [role=log]")?.scrollTo(0, 1e9);
        wasDrawing = isDrawing;
        hearReply(isDrawing);
        // The field is closed while a reply is drawn, and loses the focus by it; so does a button that goes by its
        // own click.
        const isClosed = field()?.disabled ?? false;
        if (isClosed) field().readOnly = false;
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

    // The server's answer empties the field, and closes it: what was typed before it came would be lost.
    function sends() {
        sending();
        const box = field();
        box.readOnly = true;
        setTimeout(() => { box.readOnly = false; }, MAX_ANSWER_MILLISECONDS);
    }

    let isSending = false;
    async function sendOnArrival() {
        if (isSending) return;
        isSending = true;
        while (isLeaving()) await sleep(50);
        isSending = false;
        document.querySelector("#message .submit-button")?.click();
    }

    // The first of two buttons under the field; their names are in the visitor's language.
    const SUBMIT_EDIT = "#chatbot .message-row:has(.edit-textarea) + .message-buttons button:first-of-type";

    // What belongs to a composition (of Japanese, say) is none of these; Safari tells so by the code 229 alone.
    const isKey = (event, key) =>
        event.key === key && !event.shiftKey && !event.isComposing && event.keyCode !== 229;

    // As in the field below; Gradio takes Enter for a line, and Escape for nothing.
    function endEdit(event) {
        if (!event.target.matches("#chatbot .edit-textarea")) return;
        const [submit, cancel] = event.target.closest(".message-row").nextElementSibling?.querySelectorAll("button") ?? [];
        const button = isKey(event, "Enter") ? submit : isKey(event, "Escape") && cancel;
        if (!button) return;
        event.preventDefault();
        button.click();
    }
    window.addEventListener("keydown", endEdit, true);

    // Gradio sends an empty message, too, and lets a reply be drawn into another one.
    function refuse(event) {
        const isClick = event.type === "click";
        const isEnter = isKey(event, "Enter") && event.target.matches("#message textarea");
        const isSend = isEnter || (isClick && event.target.closest("#message .submit-button"));
        const isAgain = isClick && event.target.closest(`#again, ${SUBMIT_EDIT}`);
        const isEmpty = isSend && !field()?.value.trim();
        const isEarly = isLeaving() && (isSend || isAgain || (isClick && event.target.closest("#chatbot")));
        if (isSend && !isEmpty) (isEarly ? sendOnArrival : sends)();
        if (isEmpty || isEarly || (isAgain && stopButton())) {
            event.stopPropagation();
            event.preventDefault();
        }
    }
    for (const type of ["keydown", "click"]) window.addEventListener(type, refuse, true);

    return { say, start, toggleDark };
})(window.gpt2chat));
