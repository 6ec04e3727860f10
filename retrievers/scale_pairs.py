"""Public questions, each with a passage that answers it: what embedders are put on one scale by (`retrievers.scale`).

Written for this purpose, without looking at any document of a federation: the scale of an embedder tells nothing of
what a node holds. Fixed: a scale is good only beside others that were found with the same pairs.
"""

PAIRS: tuple[tuple[str, str], ...] = (
    (
        "How long does bread dough have to rest before baking?",
        (
            "After kneading, a wheat dough with fresh yeast is covered and left in a warm place for about one "
            "hour, until its volume has doubled. It is then shaped and rests another twenty minutes before it "
            "goes into the oven."
        ),
    ),
    (
        "Why do leaves change their colour in autumn?",
        (
            "When days grow shorter, trees break down the green chlorophyll in their leaves and store its "
            "nitrogen. Yellow and orange pigments that were hidden all summer then become visible, and some "
            "species make red ones as well."
        ),
    ),
    (
        "Who may sign a purchase order above the limit?",
        (
            "Orders of more than ten thousand need the signature of the head of department. Above fifty thousand "
            "the managing director signs together with the treasurer, and the file is kept for ten years."
        ),
    ),
    (
        "What should I do when the printer shows a paper jam?",
        (
            "Switch the device off and open the rear cover. Pull the jammed sheet out slowly in the direction of "
            "transport, close the cover again and press the green button; the job continues by itself."
        ),
    ),
    (
        "Which vitamin does the body make in sunlight?",
        (
            "The skin produces vitamin D under ultraviolet light. In winter, people in northern countries often "
            "have too little of it, so doctors advise supplements for infants and for old people who rarely go "
            "out."
        ),
    ),
    (
        "What was the first song that was recorded on a cylinder?",
        (
            "In early trials of his talking machine the inventor recited a nursery rhyme into the horn. The wax "
            "cylinder that followed a decade later made recordings of music possible and was sold to homes and "
            "fairs."
        ),
    ),
    (
        "How deep is the harbour at low tide?",
        (
            "The basin is dredged to nine metres below chart datum, and at low water springs eight metres remain "
            "at the inner quay. Ships of greater draught wait in the roads until the tide has risen."
        ),
    ),
    (
        "When does a tenant have to give notice?",
        (
            "A lease without a fixed term ends at the close of the third month after notice was given in writing. "
            "The notice must reach the landlord by the third working day of the first month."
        ),
    ),
    (
        "How are diamonds cut?",
        (
            "A rough stone is first marked and split along its grain or sawn with a blade that carries diamond "
            "dust. It is then ground on a turning disc, facet by facet, because nothing but diamond is hard "
            "enough to polish it."
        ),
    ),
    (
        "What dose of the syrup may a child of six take?",
        (
            "Children between four and eight years are given five millilitres three times a day after meals. The "
            "treatment should not last longer than one week without advice from a doctor."
        ),
    ),
    (
        "How does a beehive survive the winter?",
        (
            "Honey bees form a tight cluster around their queen and shiver with their flight muscles to keep "
            "warm. They feed on the honey that they stored during summer, about fifteen kilograms for a colony."
        ),
    ),
    (
        "Why did the bridge have to be closed to lorries?",
        (
            "Inspectors found cracks in two of the main girders. Until they are strengthened, vehicles above "
            "three and a half tonnes are sent over the northern crossing, which adds twelve kilometres to their "
            "way."
        ),
    ),
    (
        "What is the difference between a comet and an asteroid?",
        (
            "Asteroids consist of rock and metal and mostly circle the sun between Mars and Jupiter. Comets are "
            "made of ice and dust; when they come near the sun, the ice evaporates and forms a bright tail."
        ),
    ),
    (
        "How often must fire extinguishers be inspected?",
        (
            "Every extinguisher is checked by an expert once in two years, and the date is written on its label. "
            "Appliances that were used, even for a moment, are taken out of service and refilled at once."
        ),
    ),
    (
        "What do pandas eat?",
        (
            "The giant panda lives almost entirely on bamboo and spends up to fourteen hours a day eating it. "
            "Because its gut is that of a carnivore, it digests only a small part of what it swallows."
        ),
    ),
    (
        "How is the interest on a savings account calculated?",
        (
            "Interest is worked out for each day from the balance at midnight and credited on the last day of the "
            "year. Sums that are withdrawn without notice lose the interest of ninety days."
        ),
    ),
    (
        "Who painted the ceiling of the old town hall?",
        (
            "The council commissioned the ceiling from a travelling master of the late baroque, who finished it "
            "within two summers. It shows the four seasons and, in the corners, the guilds that had paid for it."
        ),
    ),
    (
        "How do I reset a forgotten password?",
        (
            "Choose the link below the login form and enter the address of your account. A message with a code "
            "arrives within a few minutes; the code is valid for half an hour and lets you set a new password."
        ),
    ),
    (
        "What causes the northern lights?",
        (
            "Charged particles from the sun are led by the magnetic field of the earth towards the poles. There "
            "they strike atoms of the upper air, which give off green and red light as they return to rest."
        ),
    ),
    (
        "How long is the warranty on the washing machine?",
        (
            "The maker gives a guarantee of two years on all parts and of ten years on the motor. Damage by "
            "frost, limescale or unskilled repair is excluded; keep the receipt as proof of the day of purchase."
        ),
    ),
    (
        "Which muscles does rowing train?",
        (
            "About two thirds of the force of a stroke comes from the legs, the rest from back, shoulders and "
            "arms. Regular rowing therefore strengthens nearly the whole body and spares the knees."
        ),
    ),
    (
        "What is compost good for?",
        (
            "Ripe compost loosens heavy soil and helps light soil to hold water. It releases its nutrients "
            "slowly, so that vegetables can be fed with two buckets a square metre in spring and need little "
            "else."
        ),
    ),
    (
        "At what temperature is glass blown?",
        (
            "The furnace melts sand, soda and lime at some fourteen hundred degrees. For blowing, the mass is "
            "taken at about eleven hundred, when it is as thick as honey, and must be reheated again and again."
        ),
    ),
    (
        "How many days of leave do part-time staff have?",
        (
            "Whoever works on fewer than five days a week has leave in proportion: on three days a week it is "
            "eighteen days instead of thirty. Days that were not taken can be carried over until the end of "
            "March."
        ),
    ),
    (
        "Why does the ear pop in an aeroplane?",
        (
            "When the cabin pressure falls, the air in the middle ear expands and presses on the eardrum. "
            "Swallowing or yawning opens a narrow tube to the throat, through which the pressure becomes equal "
            "again."
        ),
    ),
    (
        "Who wrote the first dictionary of the language?",
        (
            "A schoolmaster collected hard words with short explanations and had them printed as a small book. "
            "The first work that tried to hold all words in use appeared only a century and a half later."
        ),
    ),
    (
        "How is cheese with blue veins made?",
        (
            "Spores of a mould are stirred into the milk or sprinkled over the curd. The loaves are pierced with "
            "needles so that air reaches the inside, and then ripen for two to three months in a damp cellar."
        ),
    ),
    (
        "What documents are needed to register a car?",
        (
            "Bring proof of insurance, the certificate of ownership, the report of the last inspection and your "
            "identity card. For a vehicle from abroad the customs clearance is wanted in addition."
        ),
    ),
    (
        "How do whales sleep?",
        (
            "Whales rest with one half of the brain at a time, since they must come up to breathe. Some drift "
            "like logs at the surface, others hang upright in the water for ten to fifteen minutes."
        ),
    ),
    (
        "What does the red warning lamp on the boiler mean?",
        (
            "A steady red light says that the water pressure has dropped below one bar: refill the system until "
            "the needle stands in the green field. If it flashes, the burner has failed and a technician must "
            "come."
        ),
    ),
    (
        "Why is the sea salty?",
        (
            "Rain dissolves minerals from rocks, and rivers carry them down to the ocean. The water evaporates "
            "again while the salt stays behind, so that over millions of years it has grown ever more "
            "concentrated."
        ),
    ),
    (
        "How was the village destroyed?",
        (
            "After three weeks of rain a slope above the houses gave way during the night. The slide buried the "
            "church and forty farms; those who had moved to their summer pastures the day before survived."
        ),
    ),
    (
        "Which knot is used to tie a boat to a ring?",
        (
            "Sailors use a round turn and two half hitches for this, since it holds under load and can still be "
            "undone when the rope is taut. The bowline is chosen where a fixed loop is needed."
        ),
    ),
    (
        "What are the side effects of the new eye drops?",
        (
            "Stinging and a blurred view for a few minutes are common after each drop. Rarely the iris grows "
            "darker for good, and the lashes become longer; patients with asthma should tell their doctor first."
        ),
    ),
    (
        "How does a compiler find errors in a program?",
        (
            "The source text is first split into words and checked against the grammar of the language. Then the "
            "types of all expressions are worked out; where they do not fit, a message names the line and what "
            "was expected."
        ),
    ),
    (
        "When is the best time to prune apple trees?",
        (
            "Apple trees are cut in late winter, on days without frost, before the buds swell. A light cut in "
            "summer slows strong growth and brings light to the fruit, while a hard one in autumn invites "
            "disease."
        ),
    ),
    (
        "How many people can the lecture hall seat?",
        (
            "The large hall has three hundred and twenty fixed seats and six places for wheelchairs. With the "
            "gallery open, which needs two stewards, it may hold four hundred and ten."
        ),
    ),
    (
        "What made the silk trade so profitable?",
        (
            "Silk was light, kept well and fetched its weight in gold at the end of the road. Since the art of "
            "raising the worms was a guarded secret, caravans could demand almost any price for centuries."
        ),
    ),
    (
        "How do vaccines protect against a disease?",
        (
            "A vaccine shows the immune system a harmless part of the germ. Cells that remember it stay in the "
            "body for years, and when the real germ arrives, antibodies are made within days and not within "
            "weeks."
        ),
    ),
    (
        "Where can visitors leave their bags?",
        (
            "Bags larger than a sheet of paper must be left in the lockers beside the ticket office, which take a "
            "coin that is given back. Umbrellas and prams are kept at the cloakroom free of charge."
        ),
    ),
    (
        "How does a violin make its sound?",
        (
            "The bow grips the string and lets it slip many hundred times a second. The bridge hands this "
            "trembling on to the wooden body, whose belly and air together make it loud enough to fill a hall."
        ),
    ),
    (
        "What penalty is due for late delivery?",
        (
            "If the goods arrive after the agreed date, the supplier owes half a per cent of the price for every "
            "full week, and five per cent at most. Strikes and floods are excluded if they were reported at once."
        ),
    ),
    (
        "Why do cats purr?",
        (
            "Cats purr when they are content, but also when they are hurt or afraid. The sound arises in the "
            "larynx, whose muscles twitch some twenty-five times a second, and it may help bones and tissue to "
            "heal."
        ),
    ),
    (
        "How thick must the ice be to walk on it?",
        (
            "Clear ice of ten centimetres carries a single walker, fifteen a group, and twenty a horse with a "
            "sledge. Near inflows, reeds and bridges it is thinner, and in spring it is rotten whatever its "
            "thickness."
        ),
    ),
    (
        "Which metal is used for the filament of a lamp?",
        (
            "Filaments are drawn from tungsten, which melts only at more than three thousand degrees. The bulb is "
            "filled with a noble gas, so that the glowing wire evaporates slowly and the glass stays clear."
        ),
    ),
    (
        "How was the number zero introduced?",
        (
            "Scribes first left a gap where a place was empty and later marked it with a dot. Mathematicians in "
            "the east gave it rules of its own, and merchants carried the new digits to the west together with "
            "paper."
        ),
    ),
    (
        "What should runners drink during a long race?",
        (
            "For efforts of more than an hour, water with some sugar and salt is advised, a few mouthfuls every "
            "twenty minutes. Drinking far more than one sweats thins the blood and can be dangerous."
        ),
    ),
    (
        "How does the ticket machine give change?",
        (
            "The machine returns coins up to the value of five; notes of fifty and above are refused. If it has "
            "run out of small coins, the display says so, and only cards are accepted until it is refilled."
        ),
    ),
)
