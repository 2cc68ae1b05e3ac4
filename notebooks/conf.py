"""Settings of the book: ``sphinx-build -W -b html notebooks BOOK`` in the repository's root. See README.md beside this."""

import sys
from pathlib import Path

import lab

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project, version, release = "lazylab", lab.__version__, lab.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "book"]
exclude_patterns = ["README.md", "_extensions", "**.ipynb_checkpoints"]

html_theme = "sphinx_book_theme"
html_title = "lazylab"
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "navbar_persistent": [],  # the search field stands in the sidebar
    "footer_content_items": [],
}
html_static_path = ["_extensions/static"]
html_css_files = ["book.css"]
html_math_renderer = "mathml"  # of the hook `book`: the pages need neither a script nor a network for formulas

nb_execution_mode = "off"  # shown are the outputs that `python -m tests.notebooks.machinery` kept
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3  # links lead to headings by the names that GitHub gives them
suppress_warnings = ["ref.python"]  # a short name in an annotation, such as Cell, may be that of several classes

autosummary_generate = False
autodoc_mock_imports = ["accelerate", "lightning", "transformers"]  # libraries of the adapters of `lab.Watch`
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_ivar = True
smartquotes_action = "De"  # dashes and dots; n' is n with a prime
default_role = "py:obj"  # `lab.Task` in a docstring is a link where there is such an object, and code elsewhere
highlight_language = "none"
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"
