// What the pages do beyond plain forms and links: keys, suggestions, a live sum and preview, pictures.
"use strict";

(() => {
  const isTyping = (element) => element.matches("input, textarea, select, [contenteditable]");

  // Keys: g and a letter goes to a page, / to the search, j and k along a table.
  let afterG = false;
  const follow = (selector) => document.querySelector(selector)?.click();
  const rowsOf = () => [...document.querySelectorAll("tbody tr")];
  const moveTo = (step) => {
    const rows = rowsOf();
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.classList.contains("current"));
    const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
    rows.forEach((row) => row.classList.toggle("current", row === next));
    next.scrollIntoView({ block: "nearest" });
    (next.querySelector("a") ?? next).focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea.sql")) {
      event.target.form.requestSubmit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const wasG = afterG;
    afterG = false;
    if (wasG) {
      follow(`nav [data-key="${CSS.escape(event.key)}"]`);
    } else if (event.key === "g") {
      afterG = true;
    } else if (event.key === "/") {
      event.preventDefault();
      document.querySelector("main [name=q], header [name=q]")?.focus();
    } else if (event.key === "?") {
      follow('footer [data-key="?"]');
    } else if (event.key === "j" || event.key === "k") {
      moveTo(event.key === "j" ? 1 : -1);
    } else if (event.key === "a") {
      const action = [...document.querySelectorAll("tr.current a")].find((link) => link.pathname.endsWith("/allocate"));
      (action ?? document.querySelector('main [data-key="a"]'))?.click();
    }
  });

  // Suggestions of nodes: a list below the field, by arrow keys and Enter or by pointer.
  let lists = 0;
  const pick = (input) => {
    const list = document.createElement("ul");
    list.id = `nodes-${(lists += 1)}`;
    list.hidden = true;
    list.setAttribute("role", "listbox");
    list.setAttribute("aria-label", "Nodes");
    const box = document.createElement("span");
    box.className = "picker";
    input.before(box);
    box.append(input, list);
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id], ["aria-expanded", "false"]]) {
      input.setAttribute(name, value);
    }
    let chosen = -1;
    let asked = 0;
    const close = () => {
      asked += 1; // what was asked before is not wanted any more
      list.hidden = true;
      chosen = -1;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    };
    const choose = (place) => {
      chosen = place;
      [...list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === place)));
      const option = list.children[place];
      option?.scrollIntoView({ block: "nearest" });
      if (option) input.setAttribute("aria-activedescendant", option.id);
    };
    const take = (option) => {
      input.value = option.dataset.node;
      close();
      input.dispatchEvent(new Event("change", { bubbles: true }));
    };
    const offer = async () => {
      const mine = (asked += 1);
      const answer = await fetch(`/nodes?q=${encodeURIComponent(input.value)}`).catch(() => null);
      const nodes = answer?.ok ? await answer.json() : [];
      if (mine !== asked) return;
      const before = list.children[chosen]?.dataset.node;
      list.replaceChildren(...nodes.map(({ node, owner }, at) => {
        const option = document.createElement("li");
        option.id = `${list.id}-${at}`;
        option.setAttribute("role", "option");
        option.dataset.node = node;
        option.append(node);
        if (owner) {
          const name = document.createElement("span");
          name.className = "owner";
          name.append(owner);
          option.append(name);
        }
        option.addEventListener("mousedown", (event) => {
          event.preventDefault();
          take(option);
        });
        return option;
      }));
      list.hidden = nodes.length === 0 || document.activeElement !== input;
      input.setAttribute("aria-expanded", String(!list.hidden));
      choose(nodes.findIndex(({ node }) => node === before));
    };
    input.addEventListener("input", offer);
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      const count = list.children.length;
      if (event.key === "ArrowDown" && list.hidden) offer();
      else if (event.key === "ArrowDown" && count) choose((chosen + 1) % count);
      else if (event.key === "ArrowUp" && count) choose((chosen + count - 1) % count);
      else if (event.key === "Enter" && !list.hidden) {
        const typed = [...list.children].find((option) => option.dataset.node === input.value.trim());
        take(list.children[chosen] ?? typed ?? list.children[0]);
      }
      else if (event.key === "Escape" && !list.hidden) {
        event.stopPropagation();
        close();
        return;
      } else return;
      event.preventDefault();
    });
  };
  document.querySelectorAll("input[data-nodes]").forEach(pick);

  // The sum of what is entered.
  const entry = document.getElementById("entry");
  const cents = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  entry?.addEventListener("input", () => {
    const amounts = [...entry.querySelectorAll("[name=amount]")].map((field) => Number(field.value.replaceAll(",", "")) || 0);
    document.getElementById("sum").textContent = cents.format(amounts.reduce((sum, amount) => sum + amount, 0));
  });

  // Pictures, in the colours of the page.
  const drawn = [];
  const draw = () => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const colours = dark
      ? ["#6cc9b0", "#8fb8ff", "#f0c070", "#ff9d8b", "#c9a8ff", "#8fd3e8", "#d5d98a", "#e79fc4"]
      : ["#17604f", "#3566b0", "#b87d14", "#a8402c", "#6d4fa3", "#2c7d96", "#74791f", "#a34579"];
    const axis = { axisLabel: { color: colour("--quiet") }, axisLine: { lineStyle: { color: colour("--line") } },
      splitLine: { lineStyle: { color: colour("--line") } } };
    for (const figure of document.querySelectorAll("figure.chart")) {
      const option = JSON.parse(figure.querySelector("script").textContent);
      const plot = figure.querySelector(".plot");
      echarts.getInstanceByDom(plot)?.dispose();
      plot.replaceChildren(document.createTextNode(" "));
      const theme = { color: colours, textStyle: { color: colour("--text") }, categoryAxis: axis, valueAxis: axis,
        legend: { textStyle: { color: colour("--text") } },
        tooltip: { backgroundColor: colour("--panel"), borderColor: colour("--line"), textStyle: { color: colour("--text") } } };
      const chart = echarts.init(plot, theme, { renderer: "svg" });
      const amount = (value) => (typeof value === "number" ? cents.format(value) : value);
      option.tooltip.valueFormatter = amount;
      chart.setOption(option);
      drawn.push(chart);
    }
  };
  addEventListener("load", () => {
    if (typeof echarts === "undefined") return;
    draw();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    addEventListener("resize", () => drawn.forEach((chart) => chart.isDisposed() || chart.resize()));
  });
})();
