"""Characters that look like an ASCII letter or digit, by what they look like.

Made by ``scripts/make_look_alikes.py`` from Unicode's confusables.txt, version 17.0.0 (UTS #39), © Unicode, Inc.,
https://www.unicode.org/terms_of_use.html. Not to be edited by hand.
"""

from typing import Final

LOOK_ALIKES: Final = {
    "0": (
        "\u0660\u06f0\u07c0\u0966\u09e6\u0a66\u0ae6\u0b66\u0be6\u0c66"
        "\u0ce6\u0d66\u0de6\u0e50\u0ed0\u0f20\u1040\u1090\u17e0\u1810"
        "\u1946\u19d0\u1a80\u1a90\u1b50\u1bb0\u1c40\u1c50\ua620\ua8d0"
        "\ua900\ua9d0\ua9f0\uaa50\uabf0\U000104a0\U00010d30\U00011066\U000110f0\U00011136"
        "\U000111d0\U000112f0\U00011450\U000114d0\U00011650\U000116c0\U00011730\U000118e0\U00011950\U00011c50"
        "\U00011d50\U00011da0\U00011f50\U00016a60\U00016ac0\U00016b50\U0001e140\U0001e2f0\U0001e4f0\U0001e950"
    ),
    "1": (
        "\u0661\u06f1\u07c1\u0967\u09e7\u0a67\u0ae7\u0b67\u0be7\u0c67"
        "\u0ce7\u0d67\u0de7\u0e51\u0ed1\u0f21\u1041\u1091\u17e1\u1811"
        "\u1947\u19d1\u1a81\u1a91\u1b51\u1bb1\u1c41\u1c51\ua621\ua8d1"
        "\ua901\ua9d1\ua9f1\uaa51\uabf1\U000104a1\U00010d31\U00011067\U000110f1\U00011137"
        "\U000111d1\U000112f1\U00011451\U000114d1\U00011651\U000116c1\U00011731\U000118e1\U00011951\U00011c51"
        "\U00011d51\U00011da1\U00011f51\U00016a61\U00016ac1\U00016b51\U0001e141\U0001e2f1\U0001e4f1\U0001e951"
    ),
    "2": (
        "\u01a7\u01a8\u03e8\u03e9\u0662\u06f2\u07c2\u0968\u09e8\u0a68"
        "\u0ae8\u0b68\u0be8\u0c68\u0ce8\u0d68\u0de8\u0e52\u0ed2\u0f22"
        "\u1042\u1092\u14bf\u17e2\u1812\u1948\u19d2\u1a82\u1a92\u1b52"
        "\u1bb2\u1c42\u1c52\ua622\ua644\ua645\ua6ef\ua75a\ua75b\ua8d2"
        "\ua902\ua9d2\ua9f2\uaa52\uabf2\U000104a2\U00010d32\U00011068\U000110f2\U00011138"
        "\U000111d2\U000112f2\U00011452\U000114d2\U00011652\U000116c2\U00011732\U000118e2\U00011952\U00011c52"
        "\U00011d52\U00011da2\U00011f52\U00016a62\U00016ac2\U00016b52\U0001ccf2\U0001e142\U0001e2f2\U0001e4f2"
        "\U0001e952"
    ),
    "3": (
        "\u01b7\u021c\u021d\u025c\u0292\u0417\u0437\u04e0\u04e1\u0663"
        "\u06f3\u07c3\u0969\u09e9\u0a69\u0ae9\u0b69\u0be9\u0c69\u0ce9"
        "\u0d69\u0de9\u0e53\u0ed3\u0f23\u1043\u1093\u17e3\u1813\u1949"
        "\u19d3\u1a83\u1a93\u1b53\u1bb3\u1c43\u1c53\u2c9c\u2c9d\u2cc4"
        "\u2cc5\u2ccc\u2ccd\ua623\ua76a\ua76b\ua7ab\ua8d3\ua903\ua9d3"
        "\ua9f3\uaa53\uabf3\U000104a3\U00010d33\U00011069\U000110f3\U00011139\U000111d3\U000112f3"
        "\U00011453\U000114d3\U00011653\U000116c3\U00011733\U000118ca\U000118e3\U00011953\U00011c53\U00011d53"
        "\U00011da3\U00011f53\U00016a63\U00016ac3\U00016b53\U00016f3b\U0001ccf3\U0001d206\U0001e143\U0001e2f3"
        "\U0001e4f3\U0001e953"
    ),
    "4": (
        "\u0664\u06f4\u07c4\u096a\u09ea\u0a6a\u0aea\u0b6a\u0bea\u0c6a"
        "\u0cea\u0d6a\u0dea\u0e54\u0ed4\u0f24\u1044\u1094\u13ce\u17e4"
        "\u1814\u194a\u19d4\u1a84\u1a94\u1b54\u1bb4\u1c44\u1c54\ua624"
        "\ua8d4\ua904\ua9d4\ua9f4\uaa54\uab9e\uabf4\U000104a4\U00010d34\U0001106a"
        "\U000110f4\U0001113a\U000111d4\U000112f4\U00011454\U000114d4\U00011654\U000116c4\U00011734\U000118af"
        "\U000118cf\U000118e4\U00011954\U00011c54\U00011d54\U00011da4\U00011f54\U00016a64\U00016ac4\U00016b54"
        "\U0001ccf4\U0001e144\U0001e2f4\U0001e4f4\U0001e954"
    ),
    "5": (
        "\u01bc\u0665\u06f5\u07c5\u096b\u09eb\u0a6b\u0aeb\u0b6b\u0beb"
        "\u0c6b\u0ceb\u0d6b\u0deb\u0e55\u0ed5\u0f25\u1045\u1095\u17e5"
        "\u1815\u194b\u19d5\u1a85\u1a95\u1b55\u1bb5\u1c45\u1c55\ua625"
        "\ua8d5\ua905\ua9d5\ua9f5\uaa55\uabf5\U000104a5\U00010d35\U0001106b\U000110f5"
        "\U0001113b\U000111d5\U000112f5\U00011455\U000114d5\U00011655\U000116c5\U00011735\U000118bb\U000118db"
        "\U000118e5\U00011955\U00011c55\U00011d55\U00011da5\U00011f55\U00016a65\U00016ac5\U00016b55\U0001ccf5"
        "\U0001e145\U0001e2f5\U0001e4f5\U0001e955"
    ),
    "6": (
        "\u03ec\u0431\u0666\u06f6\u07c6\u096c\u09ec\u0a6c\u0aec\u0b6c"
        "\u0bec\u0c6c\u0cec\u0d6c\u0dec\u0e56\u0ed6\u0f26\u1046\u1096"
        "\u13ee\u17e6\u1816\u194c\u19d6\u1a86\u1a96\u1b56\u1bb6\u1c46"
        "\u1c56\u2cd2\u2cd3\u2cdc\u2cdd\ua626\ua8d6\ua906\ua9d6\ua9f6"
        "\uaa56\uabbe\uabf6\U000104a6\U00010d36\U0001106c\U000110f6\U0001113c\U000111d6\U000112f6"
        "\U00011456\U000114d6\U00011656\U000116c6\U00011736\U000118d5\U000118e6\U00011956\U00011c56\U00011d56"
        "\U00011da6\U00011f56\U00016a66\U00016ac6\U00016b56\U0001ccf6\U0001e146\U0001e2f6\U0001e4f6\U0001e956"
    ),
    "7": (
        "\u0667\u06f7\u07c7\u096d\u09ed\u0a6d\u0aed\u0b6d\u0bed\u0c6d"
        "\u0ced\u0d6d\u0ded\u0e57\u0ed7\u0f27\u1047\u1097\u17e7\u1817"
        "\u194d\u19d7\u1a87\u1a97\u1b57\u1bb7\u1c47\u1c57\ua627\ua8d7"
        "\ua907\ua9d7\ua9f7\uaa57\uabf7\U000104a7\U000104d2\U000104fa\U00010d37\U0001106d"
        "\U000110f7\U0001113d\U000111d7\U000112f7\U00011457\U000114d7\U00011657\U000116c7\U00011737\U000118c6"
        "\U000118e7\U00011957\U00011c57\U00011d57\U00011da7\U00011f57\U00016a67\U00016ac7\U00016b57\U0001ccf7"
        "\U0001d212\U0001e147\U0001e2f7\U0001e4f7\U0001e957"
    ),
    "8": (
        "\u0222\u0223\u0668\u06f8\u07c8\u096e\u09ee\u0a6e\u0aee\u0b6e"
        "\u0bee\u0c6e\u0cee\u0d6e\u0dee\u0e58\u0ed8\u0f28\u1048\u1098"
        "\u17e8\u1818\u194e\u19d8\u1a88\u1a98\u1b58\u1bb8\u1c48\u1c58"
        "\ua628\ua8d8\ua908\ua9d8\ua9f8\uaa58\uabf8\U0001031a\U000104a8\U00010d38"
        "\U0001106e\U000110f8\U0001113e\U000111d8\U000112f8\U00011458\U000114d8\U00011658\U000116c8\U00011738"
        "\U000118e8\U00011958\U00011c58\U00011d58\U00011da8\U00011f58\U00016a68\U00016ac8\U00016b58\U0001ccf8"
        "\U0001e148\U0001e2f8\U0001e4f8\U0001e8cb\U0001e958"
    ),
    "9": (
        "\u0669\u06f9\u07c9\u096f\u09ef\u0a6f\u0aef\u0b6f\u0bef\u0c6f"
        "\u0cef\u0d6f\u0def\u0e59\u0ed9\u0f29\u1049\u1099\u17e9\u1819"
        "\u194f\u19d9\u1a89\u1a99\u1b59\u1bb9\u1c49\u1c59\u2cca\u2ccb"
        "\ua629\ua76e\ua76f\ua8d9\ua909\ua9d9\ua9f9\uaa59\uabf9\U000104a9"
        "\U00010d39\U0001106f\U000110f9\U0001113f\U000111d9\U000112f9\U00011459\U000114d9\U00011659\U000116c9"
        "\U00011739\U000118ac\U000118cc\U000118d6\U000118e9\U00011959\U00011c59\U00011d59\U00011da9\U00011f59"
        "\U00016a69\U00016ac9\U00016b59\U0001ccf9\U0001e149\U0001e2f9\U0001e4f9\U0001e959"
    ),
    "A": ("\u0391\u0410\u13aa\u15c5\ua4ee\U000102a0\U00016f40\U0001ccd6"),
    "B": ("\u0392\u0412\u13f4\u15f7\u2c82\ua4d0\ua7b4\U00010282\U000102a1\U00010301\U0001ccd7"),
    "C": ("\u03a3\u0421\u13df\u2ca4\ua4da\U000102a2\U00010302\U00010415\U0001051c\U000118f2\U0001ccd8\U0001f74c"),
    "D": ("\u13a0\u15de\u15ea\ua4d3\U0001ccd9"),
    "E": ("\u0395\u0415\u13ac\u22ff\u2d39\ua4f0\U00010286\U000118a6\U000118ae\U0001ccda"),
    "F": ("\u03dc\u15b4\ua4dd\ua798\U00010287\U000102a5\U00010525\U000118a2\U000118c2\U0001ccdb\U0001d213"),
    "G": ("\u050c\u13c0\u13f3\ua4d6\U0001ccdc"),
    "H": ("\u0397\u041d\u13bb\u157c\u2c8e\ua4e7\U000102cf\U0001ccdd"),
    "I": ("\u0196\u0399\u0406\u04c0\u2c92"),
    "J": ("\u037f\u0408\u13ab\u148d\ua4d9\ua7b2\U0001ccdf"),
    "K": ("\u039a\u041a\u13e6\u16d5\u2c94\ua4d7\U00010518\U0001cce0"),
    "L": ("\u13de\u14aa\u2cd0\ua4e1\U0001041b\U00010526\U000118a3\U000118b2\U00016f16\U0001cce1\U0001d22a"),
    "M": ("\u039c\u03fa\u041c\u13b7\u15f0\u16d6\u2c98\ua4df\U000102b0\U00010311\U0001cce2"),
    "N": ("\u039d\u2c9a\ua4e0\U00010513\U0001cce3"),
    "O": (
        "\u039f\u041e\u0555\u0b20\u12d0\u2c9e\u2d54\u3007\ua4f3\U00010292"
        "\U000102ab\U00010404\U000104c2\U00010516\U000118b5\U00011de0\U0001cce4\U0001ccf0"
    ),
    "P": ("\u03a1\u0420\u13e2\u146d\u2ca2\u2cce\ua4d1\U00010295\U0001cce5"),
    "Q": ("\u2d55\U0001cce6"),
    "R": ("\u01a6\u13a1\u13d2\u1587\ua4e3\U000104b4\U00016f35\U0001cce7\U0001d216"),
    "S": ("\u0405\u054f\u13d5\u13da\ua4e2\U00010296\U00010420\U00016f3a\U0001cce8"),
    "T": (
        "\u03a4\u0422\u13a2\u22a4\u27d9\u2ca6\ua4d4\U00010297\U000102b1\U00010315"
        "\U000118bc\U00016f0a\U0001cce9\U0001f768"
    ),
    "U": ("\u054d\u1200\u144c\u222a\u22c3\ua4f4\U000104ce\U000118b8\U00016f42\U0001ccea"),
    "V": ("\u0474\u13d9\u142f\u2d38\ua4e6\ua6df\U0001051d\U000118a0\U00016f08\U0001cceb\U0001d20d"),
    "W": ("\u051c\u13b3\u13d4\ua4ea\U000118ef\U0001ccec"),
    "X": (
        "\u03a7\u0425\u166d\u16b7\u2573\u2cac\u2d5d\ua4eb\ua7b3\U00010290"
        "\U000102b4\U00010317\U00010322\U00010527\U000118ec\U0001cced"
    ),
    "Y": ("\u03a5\u0423\u04ae\u13a9\u13bd\u2ca8\ua4ec\U000102b2\U000118a4\U00016f43\U0001ccee"),
    "Z": ("\u0396\u13c3\ua4dc\U000102f5\U000118a9\U0001ccef"),
    "a": ("\u0251\u03b1\u0430\u1d00\u237a\uab7a\U0001f150\U0001f170\U0001f1e6"),
    "b": (
        "\u0184\u0185\u0299\u03b2\u042c\u0432\u044c\u13cf\u13fc\u1472"
        "\u15af\u1c80\u2c83\ua7b5\uab9f\U00016eb6\U0001f151\U0001f171\U0001f1e7"
    ),
    "c": ("\u03c2\u0441\u1004\u105a\u1c83\u1d04\u2ca5\uabaf\U0001043d\U0001f152\U0001f172\U0001f1e8"),
    "d": ("\u0501\u13e7\u146f\u1d05\ua4d2\uab70\uabb7\U0001f153\U0001f173\U0001f1e9"),
    "e": ("\u03b5\u0435\u04bd\u1d07\u212e\uab32\uab7c\U000118ce\U0001f154\U0001f174\U0001f1ea"),
    "f": ("\u0192\u03dd\u0584\u1e9d\ua730\ua799\uab35\U0001f155\U0001f175\U0001f1eb"),
    "g": ("\u018d\u0261\u0262\u050d\u0581\u13fb\u1d83\uab90\U0001f156\U0001f176\U0001f1ec"),
    "h": ("\u029c\u03b7\u043d\u04bb\u0570\u13c2\u2c8f\uab8b\uab92\U0001f157\U0001f177\U0001f1ed"),
    "i": ("\u0131\u0269\u026a\u03b9\u0456\u0582\u13a5\u2373\u2c93\ua647\uab75\U000118c3\U0001f158\U0001f178\U0001f1ee"),
    "j": ("\u029d\u03f3\u0458\u1d0a\uab7b\U0001f159\U0001f179\U0001f1ef"),
    "k": ("\u03ba\u043a\u1d0b\u2c95\uabb6\U0001f15a\U0001f17a\U0001f1f0"),
    "l": (
        "\u01c0\u029f\u04cf\u05c0\u05d5\u05df\u0627\u07ca\u16c1\u2223"
        "\u23fd\u2502\u2cd1\u2d4f\ua4f2\uabae\U0001028a\U00010309\U00010320\U00010443"
        "\U000118d2\U00011dda\U00011de1\U00016eaa\U00016f28\U0001ccde\U0001ccf1\U0001e8c7\U0001f15b\U0001f17b"
        "\U0001f1f1"
    ),
    "m": ("\u03bc\u03fb\u043c\u1d0d\u2c99\uab87\U0001f15c\U0001f17c\U0001f1f2"),
    "n": ("\u0274\u0578\u057c\u2c9b\U0001f15d\U0001f17d\U0001f1f3"),
    "o": (
        "\u03bf\u03c3\u03ed\u043e\u0585\u05e1\u0647\u06be\u06c1\u06d5"
        "\u0d20\u101d\u10ff\u1c82\u1d0f\u1d11\u2c9f\uab3d\U0001042c\U000104ea"
        "\U000118c8\U000118d7\U0001f15e\U0001f17e\U0001f1f4"
    ),
    "p": ("\u00fe\u01bf\u03c1\u03f8\u0440\u1d18\u2374\u2ca3\u2ccf\uabb2\U0001f15f\U0001f17f\U0001f18a\U0001f1f5"),
    "q": ("\u051b\u0563\u0566\ua7af\U0001f160\U0001f180\U0001f1f6"),
    "r": ("\u0280\u0433\u1d26\u2c85\uab47\uab48\uab71\uab81\uaba2\U000104dc\U0001f161\U0001f181\U0001f1f7"),
    "s": ("\u01bd\u0455\u057f\u0d1f\ua731\uaba5\uabaa\U00010448\U000118c1\U0001f162\U0001f182\U0001f1f8"),
    "t": ("\u03c4\u0442\u1c84\u1c85\u1d1b\u2ca7\uab72\U0001f163\U0001f183\U0001f1f9"),
    "u": ("\u028b\u03c5\u057d\u1d1c\ua79f\uab4e\uab52\U000104f6\U000118d8\U0001f164\U0001f184\U0001f1fa"),
    "v": ("\u03bd\u0475\u05d8\u1d20\u2228\u22c1\uaba9\U00011706\U000118c0\U0001f165\U0001f185\U0001f1fb"),
    "w": (
        "\u026f\u0448\u0461\u051d\u0561\u1d21\u2cbd\uab83\uaba4\U0001170a"
        "\U0001170e\U0001170f\U0001f166\U0001f186\U0001f1fc"
    ),
    "x": ("\u00d7\u03c7\u0445\u1541\u157d\u166e\u292b\u292c\u2a2f\u2cad\uab53\U0001f167\U0001f187\U0001f1fd"),
    "y": (
        "\u0263\u028f\u03b3\u0443\u04af\u10e7\u1d8c\u1eff\u2ca9\uab5a"
        "\uab79\uab8d\U000118dc\U0001f168\U0001f188\U0001f1fe"
    ),
    "z": ("\u03b6\u1d22\uab93\U000118c4\U000118c9\U0001f169\U0001f189\U0001f1ff"),
}
"""What looks alike, and all that looks like it: letters of other scripts, other scripts' digits, boxed letters."""
