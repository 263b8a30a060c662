"""What the demo is about: a company, its customers and their invoices.

Days are numbers: day 0 is the eve of the story, day 75 is today, so the days of the
week are others each time. All names are made up; addresses end in .example, phone
numbers are those kept free for fiction.
"""

from collections import namedtuple

DAYS = 75
#: Odoo's scheduled actions stand still on these days; people go on working.
DOWNTIME = range(43, 57)

COMPANY = {
    "name": "Atelier Beaumont SAS",
    "street": "12 rue des Tanneurs",
    "zip": "69005",
    "city": "Lyon",
    "phone": "+33 1 99 00 47 10",
    "email": "compta@atelier-beaumont.example",
    "website": "https://atelier-beaumont.example",
}
IBAN = "FR76 3000 6000 0112 3456 7890 189"
ACCOUNTANT = ("Claire Fontaine", "claire.fontaine@atelier-beaumont.example")
RATES = {"USD": 1.16, "GBP": 0.87}  # for one euro

#: Below a customer the people who work there: "invoice" has his address on the
#: invoices, "star" gets the payment reminders.
CUSTOMERS = """
# dupont: key, name, country, street, zip, city, e-mail
dupont | Boulangerie Dupont | FR | 4 place du Marché | 69001 | Lyon | -
  > Jean Dupont | jean@boulangerie-dupont.example | invoice
lefevre | Garage Lefèvre SARL | FR | 27 route de Vienne | 69007 | Lyon | contact@garage-lefevre.example
parc | Hôtel du Parc | FR | 1 avenue des Tilleuls | 74000 | Annecy | reception@hotel-du-parc.example
  > Hélène Roy | helene.roy@hotel-du-parc.example | star
  > Marc Petit | marc.petit@hotel-du-parc.example | star
  > Nadia Colin | nadia.colin@hotel-du-parc.example | other
morel | Librairie Morel | FR | 18 rue de la République | 38000 | Grenoble | bonjour@librairie-morel.example
saintroch | Clinique Saint-Roch | FR | 60 cours Gambetta | 34000 | Montpellier | fournisseurs@saint-roch.example
roussel | Menuiserie Roussel | FR | 9 chemin des Scieries | 39000 | Lons-le-Saunier | atelier@menuiserie-roussel.example
arts | Café des Arts | FR | 33 quai Saint-Antoine | 69002 | Lyon | -
girard | Imprimerie Girard | FR | 5 rue Gutenberg | 67000 | Strasbourg | compta@imprimerie-girard.example
vauban | Groupe Vauban SA | FR | 100 boulevard Vauban | 59000 | Lille | -
  > Sophie Lambert | sophie.lambert@groupe-vauban.example | invoice
laurent | Pharmacie Laurent | FR | 2 place Bellecour | 69002 | Lyon | pharmacie@laurent.example
atlas | Atlas Travaux | FR | 3 allée des Paluds | 13400 | Aubagne | refuse.compta@atlas-travaux.example
brightwater | Brightwater Ltd | GB | 14 Mill Lane | BS1 4QA | Bristol | accounts@brightwater.example
hudson | Hudson & Company | US | 220 Pearl Street | 02110 | Boston | -
  > Grace Miller | grace.miller@hudson-co.example | invoice
northgate | Northgate Logistics Ltd | GB | 7 Dock Road | L3 8AA | Liverpool | payables@northgate.example
oconnor | O'Connor Architects | IE | 31 Merrion Row | D02 KW80 | Dublin | office@oconnor.example
whitfield | Whitfield Partners LLP | GB | 8 Temple Court | EC4Y 7AA | London | -
  > Ann Whitfield | ann@whitfield.example | invoice
meyer | Meyer Consulting | IE | 2 Harbour Street | H91 X4Y2 | Galway | hello@meyer.example
vidal | Charpentes Vidal | FR | 44 route de Genève | 73000 | Chambéry | compta@charpentes-vidal.example
fournil | Le Fournil des Halles | FR | 102 cours Lafayette | 69003 | Lyon | bonjour@fournil-des-halles.example
garonne | Transports de la Garonne | FR | 8 quai de Brienne | 31000 | Toulouse | -
  > Paul Castan | paul.castan@transports-garonne.example | star
imagine | Studio Imagine | FR | 15 rue du Faubourg | 44000 | Nantes | studio@imagine.example
harbour | Harbour Fittings Ltd | GB | 3 Quay Street | PL1 2JT | Plymouth | ledger@harbour-fittings.example
serres | Serres du Midi | FR | 70 chemin des Maraîchers | 84000 | Avignon | gestion@serres-du-midi.example
"""  # noqa: E501
KEY_ACCOUNTS = ("vauban", "whitfield")
#: On working days only: two mails, one of them approved, a call, a letter, a visit.
TRADE = ("vidal", "fournil", "garonne", "imagine", "harbour", "serres")
NO_REMINDERS = ("meyer",)

Invoice = namedtuple("Invoice", "customer issued due net payments notes")

#: Paid "24:700 41": 700 on day 24, the rest on day 41. A payment of day "20+" arrives
#: after the reminders of that day were written, and before they leave.
INVOICES = """
# customer    issued   due       net   paid           notes
dupont           -24     6   1040.00   33
dupont           -17     6    385.50   33
dupont           -14    16    640.00   -
dupont           -11    27    214.00   -
dupont            -2    26    910.00   44
dupont            10    42    275.00   -
lefevre          -20    10   3000.00   27:1440        instalments
lefevre           10    38    320.00   33
lefevre           25    55    190.00   -
parc             -40   -10   2100.00   -
parc              -5    25    455.00   24
parc               5    35    980.00   30
parc              30    60   1320.00   -
morel            -30     0    150.00   2
morel            -15    15   1500.00   24:700 41
morel              5    32    260.00   31
morel             20    50    720.00   -
saintroch        -25     5    890.00   6              debit
saintroch          5    35    890.00   39             debit
saintroch         30    60    890.00   -              debit
roussel          -28     2    610.00   -              unsent
roussel          -26     4   1340.00   22
roussel           -1    29    450.00   20
arts             -32    -2    530.00   30
arts              30    58     95.00   -
girard           -75   -45    330.00   -
girard           -18    12   2980.00   -
girard           -10    20    450.00   19
girard            20    52    610.00   -
vauban           -30    -5   3900.00   12
vauban           -20    10   1500.00   9
vauban           -12     8  12400.00   -
vauban            -9     8   7350.00   36
vauban             5    33   5600.00   50
vauban            25    56   8800.00   -
laurent          -35    -5    120.00   6
laurent          -15    15    365.00   20+
laurent           10    40    410.00   36
laurent           30    62    220.00   -
atlas            -16    14   1890.00   28:2260
atlas             20    50    760.00   45
brightwater      -22     8   1640.00   29             GBP
brightwater        5    36   2200.00   -              GBP
brightwater       25    54    510.00   -
hudson           -35    -6    880.00   21             USD
hudson           -19    11   3300.00   20             USD
hudson            15    45   1275.00   -              USD
hudson            35    64   1900.00   -              USD
northgate       -120   -90    540.00   -
northgate        -30     0    720.00   -              no_followup
northgate         -8    22   1150.00   -
northgate         30    58    300.00   45
oconnor          -21     9   2450.00   47
oconnor           -3    27    800.00   47
oconnor           25    54    640.00   47
whitfield        -14     4   9800.00   20
whitfield         -2    28   4300.00   45
whitfield         20    48   2750.00   -
meyer            -10     5    300.00   -
meyer             20    50    410.00   -
vidal            -28     2   1180.00   -
vidal             32    62    640.00   -
fournil          -18    12    930.00   37
fournil           24    54    415.00   -
garonne          -24     6   2260.00   -
garonne            0    30    780.00   -
imagine          -16    14    560.00   36
harbour          -22     8   1475.00   -              GBP
serres             6    36   1340.00   70
serres             6    36    290.00   50
"""

#: What else happens: day, what, customer, which of his invoices, and details.
STORY = [
    (12, "address", "arts", None, "bonjour@cafe-des-arts.example"),
    (12, "promise", "roussel", 2, 22),
    (13, "address", "atlas", None, "compta@atlas-travaux.example"),
    (14, "start_anyway", "girard", 1, None),
    (16, "pause", "oconnor", None, 34),
    (17, "copy", "vauban", 3, "refuse.archives@groupe-vauban.example"),
    (18, "block", "girard", 2, None),
    (21, "promise", "harbour", 1, 27),
    (27, "bounce_cheque", "whitfield", 1, None),
    (30, "move", "northgate", None, "trade"),
    (33, "unblock", "girard", 2, None),
    (33, "dispute", "dupont", 4, "Two chairs of the wrong colour"),
    (58, "pause_invoice", "morel", 4, 70),
    (60, "settle", "dupont", 4, None),
    (64, "postpone", "girard", 4, 68),
]
#: Days after its date on which a promise is broken: the payment may be on its way.
GRACE = 3
#: The mail server cannot be reached on this day: its mails leave on the next one.
MAIL_SERVER_DOWN = 31

#: What waits for the accountant she does the same day, week-ends apart. But for these:
#: (customer, invoice, step): days later, or never.
NEVER = 999
LATER = {
    ("fournil", 1, "Second reminder"): 3,
    ("garonne", 1, "Second reminder"): 1,
    ("garonne", 1, "Phone call"): NEVER,
    ("garonne", 1, "Formal letter"): 2,
    ("imagine", 1, "Second reminder"): NEVER,
    ("harbour", 1, "Visit"): 1,
    # Still there on the last day:
    ("vidal", 2, "Second reminder"): NEVER,
    ("fournil", 2, "Phone call"): NEVER,
    ("garonne", 2, "Formal letter"): NEVER,
}
#: And this one she does not send.
SKIPPED = {("garonne", 1, "Second reminder")}

#: The last step of the key accounts is typed on the step, in both languages.
NOTE = {
    "en_US": (
        "Personal note",
        "{{ company_name }}: a word about invoice {{ invoice_number }}",
        "<p>Dear {{ contact_name }},</p>"
        "<p>Invoice {{ invoice_number }} of {{ invoice_date }} has been due for "
        "{{ days_late }} days, and {{ amount_due }} is still open. Is there anything "
        "that keeps it from being paid? Just reply, or call me.</p>"
        "{{ invoice_table }}{% if payment_link %}{{ payment_link }}{% endif %}"
        "<p>{{ sender_name }}<br>{{ sender_phone }}</p>",
    ),
    "fr_FR": (
        "Mot personnel",
        "{{ company_name }} : au sujet de la facture {{ invoice_number }}",
        "<p>Bonjour {{ contact_name }},</p>"
        "<p>La facture {{ invoice_number }} du {{ invoice_date }} est échue depuis "
        "{{ days_late }} jours, et {{ amount_due }} restent à régler. Y a-t-il quelque "
        "chose qui en empêche le paiement ? Répondez-moi simplement, ou "
        "appelez-moi.</p>"
        "{{ invoice_table }}{% if payment_link %}{{ payment_link }}{% endif %}"
        "<p>{{ sender_name }}<br>{{ sender_phone }}</p>",
    ),
}

#: The letter that the addon's demo data has in English.
LETTER_FR = (
    "Mise en demeure",
    "Facture {{ invoice_number }} : à régler avant le {{ new_deadline }}",
    "<p>Bonjour {{ contact_name }},</p>"
    "<p>Malgré nos relances, {{ amount_due }} restent à régler depuis {{ days_late }} "
    "jours. Nous vous mettons en demeure de régler cette somme avant le "
    "{{ new_deadline }}.</p>"
    "{{ invoice_table }}"
    "{% if bank_account %}<p>Compte bancaire : {{ bank_account }}</p>{% endif %}"
    "<p>{{ sender_name }}<br>{{ sender_phone }}</p>",
)


def read_customers():
    """Yield (key, values of the customer, [(person, e-mail, kind)])."""
    key, values, people = None, None, []
    for line in CUSTOMERS.splitlines():
        cells = [cell.strip().removeprefix("> ") for cell in line.split(" | ")]
        if line.startswith("  >"):
            people.append(cells)
        elif line and not line.startswith("#"):
            if key:
                yield key, values, people
            key, people = cells[0], []
            names = ("name", "country", "street", "zip", "city", "email")
            values = dict(zip(names, cells[1:], strict=True))
    yield key, values, people


def read_invoices():
    for line in INVOICES.splitlines():
        if line and not line.startswith("#"):
            customer, issued, due, net, *rest = line.split()
            notes = {word for word in rest if word[0].isalpha()}
            payments = [word for word in rest if word[0].isdigit()]
            yield Invoice(customer, int(issued), int(due), float(net), payments, notes)
